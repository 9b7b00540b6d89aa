import { MessageChannel } from 'node:worker_threads';

/**
 * A real turn of the event loop, which comes only when every promise job and `nextTick` is done, however long their chains. A message
 * channel, because no fake-timer tool replaces it: `setImmediate` would stand still under fake timers.
 */
const { port1: out, port2: back } = new MessageChannel();
const waiting: (() => void)[] = [];

back.on('message', () => {
  const land = waiting.shift();
  if (waiting.length === 0) back.unref();
  land?.();
});
back.unref();

/** Resolves once the microtask queue is empty. */
export function hop(): Promise<void> {
  return new Promise((resolve) => {
    if (waiting.push(resolve) === 1) back.ref();
    out.postMessage(undefined);
  });
}
