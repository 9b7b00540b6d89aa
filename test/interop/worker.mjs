/** What the threads of the tests run. Held tasks say that they have begun in the first place of a shared array, and wait for the second to change. */

import { threadId } from 'node:worker_threads';

export default function echo(data) {
  return data;
}

export function thread() {
  return threadId;
}

export function hold(shared) {
  Atomics.store(shared, 0, 1);
  Atomics.notify(shared, 0);
  Atomics.wait(shared, 1, 0);
  return 'let go';
}

export function spin(shared) {
  Atomics.store(shared, 0, 1);
  Atomics.notify(shared, 0);
  for (;;);
}

export function fail({ cause }) {
  throw new RangeError('too much', { cause });
}

export function failWith(what) {
  throw what;
}

export async function failLater() {
  await Promise.resolve();
  throw new TypeError('later');
}

export function size(buffer) {
  return buffer.byteLength;
}

export function closure() {
  return () => 'cannot be cloned';
}

export function leave() {
  process.exit(3);
}
