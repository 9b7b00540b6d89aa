import { ok } from 'node:assert/strict';
import type { AnyPolicy } from '../core/policy.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** What the laws ask of a clock. */
export type LawClock = Pick<VirtualClock, 'now' | 'setTimeout' | 'clearTimeout' | 'pending' | 'advance' | 'until' | 'rewind'>;

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
  /**
   * Makes the clock of one pipeline. For a policy that stands on a package which takes its time from the process: one that moves your fake timers, and whose `pending` leaves out
   * what was set before it was made and what keeps no process alive. @defaultValue a new `VirtualClock`
   */
  readonly clock?: (() => LawClock) | undefined;
}

/** One law: what must hold, as a sentence, and how to find out. */
export interface Law {
  readonly title: string;
  /** What it needs of the subject besides `make`. */
  readonly needs?: Exclude<keyof Subject, 'make'>;
  /** Rejects (with an AssertionError) if the law is broken. */
  readonly run: (subject: Subject) => Promise<void>;
}

/** A law that the subject cannot keep, and why. */
export interface LawException {
  /** The title of the law, or a part of it that no other has. */
  readonly law: string;
  /** Why not, as a sentence for whoever reads the test's title. */
  readonly because: string;
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
  /** Laws that the subject is known to break. Each must really be broken: once it is kept, its test fails and says so. @defaultValue none */
  readonly exceptions?: readonly LawException[];
}

/** Declares a test for each law that the subject has all the needs of. */
export function declareLaws(suite: string, laws: readonly Law[], make: () => AnyPolicy, options: ContractOptions): void {
  const globals = globalThis as { describe?: DeclareGroup; it?: DeclareTest };
  const { describe = globals.describe, it = globals.it, name = make().kind, exceptions = [], ...more } = options;
  if (describe === undefined || it === undefined)
    throw new TypeError(`${suite}: expected describe and it among the options, or as globals; got neither`);
  const subject: Subject = { ...more, make };
  for (const { law } of exceptions)
    if (laws.filter(({ title }) => title.includes(law)).length !== 1)
      throw new TypeError(
        `${suite}: expected an exception to name one law of the suite by a part of its title, got ${JSON.stringify(law)}`,
      );
  const applying = laws.filter(({ needs }) => needs === undefined || subject[needs] !== undefined);
  describe(`${name}: ${suite}`, () => {
    for (const law of applying) {
      const exception = exceptions.find((each) => law.title.includes(each.law));
      if (exception === undefined) it(law.title, () => law.run(subject));
      else it(`does not keep: ${law.title}: ${exception.because}`, () => breaks(law, subject));
    }
  });
}

async function breaks(law: Law, subject: Subject): Promise<void> {
  const kept = await law.run(subject).then(
    () => true,
    () => false,
  );
  ok(!kept, `this law is kept now; take its exception out: ${law.title}`);
}
