/** How much memory is held: the heap in use after a full collection. */

import { setImmediate as turn } from 'node:timers/promises';

/** Bytes in use. Needs `--expose-gc`; without it the figure is whatever is there. */
export async function heapInUse() {
  for (let i = 0; i < 3; i++) {
    await turn();
    globalThis.gc?.();
  }
  return process.memoryUsage().heapUsed;
}
