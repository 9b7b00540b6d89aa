import type { Failure } from './outcome.ts';

/** Cuts that let running work go on. */
const gentle = new WeakSet<Failure>();

/** Marks a cut as one that lets running work go on. */
export function asGentle(failure: Failure): Failure {
  gentle.add(failure);
  return failure;
}

/** Whether a cut lets running work go on: what it answers with still counts (see `Call.windDown`). */
export function isGentle(failure: Failure): boolean {
  return gentle.has(failure);
}
