import type { AnyPolicy } from '../core/policy.ts';

/** What is put to the test. Each function makes a fresh policy, as laws need several. */
export interface Subject {
  /**
   * A roomy policy: it lets at least 200 calls through without a wait, and what the work answers or throws passes as it is (a fallback
   * that covers nothing, a retry that rethrows).
   */
  readonly make: () => AnyPolicy;
  /**
   * A policy that makes the second of two calls wait for at least a minute: in a queue, because the first is still running, or before another
   * attempt, because its work failed. Without it, what happens to waiting calls is not tested.
   */
  readonly waits?: (() => AnyPolicy) | undefined;
  /** A policy that refuses every call. Without it, refusals are not tested. */
  readonly refuses?: (() => AnyPolicy) | undefined;
  /** What makes the policy from options, and options that are right. Without it, options are not tested. */
  readonly factory?: { readonly create: (options: never) => AnyPolicy; readonly options: object } | undefined;
}

/** One law: what must hold, as a sentence, and how to find out. */
export interface Law {
  readonly title: string;
  /** What it needs of the subject besides `make`. */
  readonly needs?: Exclude<keyof Subject, 'make'>;
  /** Rejects (with an AssertionError) if the law is broken. */
  readonly run: (subject: Subject) => Promise<void>;
}

/** A test runner's `it` or `test`. */
export type DeclareTest = (title: string, run: () => Promise<void>) => unknown;
/** A test runner's `describe`. */
export type DeclareGroup = (title: string, tests: () => void) => unknown;

/** Options of a contract suite. */
export interface ContractOptions extends Omit<Subject, 'make'> {
  /** @defaultValue the global `describe`, as jest and vitest with `globals` have it */
  readonly describe?: DeclareGroup;
  /** @defaultValue the global `it` */
  readonly it?: DeclareTest;
  /** What the suite is called. @defaultValue the kind of the policy */
  readonly name?: string;
}

/** Declares a test for each law that the subject has all the needs of. */
export function declareLaws(suite: string, laws: readonly Law[], make: () => AnyPolicy, options: ContractOptions): void {
  const globals = globalThis as { describe?: DeclareGroup; it?: DeclareTest };
  const { describe = globals.describe, it = globals.it, name = make().kind, ...more } = options;
  if (describe === undefined || it === undefined)
    throw new TypeError(`${suite}: expected describe and it among the options, or as globals; got neither`);
  const subject: Subject = { ...more, make };
  describe(`${name}: ${suite}`, () => {
    for (const law of laws) if (law.needs === undefined || subject[law.needs] !== undefined) it(law.title, () => law.run(subject));
  });
}
