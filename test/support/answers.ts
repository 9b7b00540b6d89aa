import { expect } from 'vitest';
import { OptionsError } from 'breakwater';

/** What a call is rejected with. */
export function reasonOf(done: Promise<unknown>): Promise<unknown> {
  return done.then(
    () => expect.fail('should have been rejected'),
    (reason: unknown) => reason,
  );
}

/** Paths of the options that are wrong; `'accepted'` if none is. */
export function problemsOf(create: (options: never) => unknown, options: object): unknown {
  try {
    create(options as never);
    return 'accepted';
  } catch (error) {
    return error instanceof OptionsError ? error.problems.map(({ path }) => path) : error;
  }
}

/** What each of `count` calls that come at once is told. */
export function ask(p: { tryAcquire: () => { admitted: boolean } }, count: number): boolean[] {
  return Array.from({ length: count }, () => p.tryAcquire().admitted);
}
