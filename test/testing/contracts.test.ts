import { describe, expect, test } from 'vitest';
import {
  type AnyPolicy,
  type Call,
  type Gate,
  type GatePolicy,
  type Handler,
  type Scope,
  Failure,
  RejectedError,
  definePolicy,
  isFailure,
  refuse,
  verdictOf,
} from 'breakwater';
import {
  type ContractOptions,
  type Law,
  type Subject,
  gateContract,
  gateLaws,
  VirtualClock,
  policyContract,
  policyLaws,
} from 'breakwater/testing';

type Mount = (next: Handler, scope: Scope) => Handler;

/** A driver as somebody might write it who knows nothing of the kernel's care: nothing guards it. */
function raw(mount: Mount, more: Partial<AnyPolicy> = {}): AnyPolicy {
  return { kind: 'faulty', mount, snapshot: () => ({}), describe: () => ({}), ...more };
}

function gate(own: Partial<Gate>, more: { snapshot?: () => Record<string, unknown> } = {}): GatePolicy {
  return definePolicy({ kind: 'faulty', gate: { enter: () => 'pass', settle: () => undefined, cancel: () => undefined, ...own }, ...more });
}

const full = (): Failure => refuse(new RejectedError('full'));

/** A gate with so many places, faulty as told. */
function places(limit: number, fault: 'keeps on cancel' | 'keeps on failure' | 'none' = 'none'): GatePolicy {
  let taken = 0;
  return gate(
    {
      enter: () => (taken < limit ? ++taken : full()),
      settle: (_, outcome) => {
        if (fault !== 'keeps on failure' || !isFailure(outcome)) taken--;
      },
      cancel: () => {
        if (fault !== 'keeps on cancel') taken--;
      },
    },
    { snapshot: () => ({ taken }) },
  );
}

/** A circuit that opens after three of what it takes for failures. */
function opens(isFailureForIt: (outcome: unknown) => boolean): GatePolicy {
  let failures = 0;
  return gate({
    enter: () => (failures < 3 ? 'pass' : full()),
    settle: (_, outcome) => {
      if (isFailureForIt(outcome)) failures++;
    },
  });
}

/** A queue for one at a time, faulty as told. */
function queue(fault: 'deaf to aborts' | 'runs in the context of others' | 'keeps aborted ones' | 'lets nobody wait' | 'none'): GatePolicy {
  const waiting: ((pass: string | Failure) => void)[] = [];
  let taken = false;
  const next = (): void => {
    const first = waiting.shift();
    if (first === undefined) taken = false;
    else first('pass');
  };
  return gate({
    enter: (call) => {
      if (!taken || fault === 'lets nobody wait') {
        taken = true;
        return 'pass';
      }
      if (!call.waits && fault !== 'deaf to aborts') return full();
      return new Promise<string | Failure>((resolve) => {
        waiting.push(resolve);
        call.waiter = (failure) => {
          if (fault === 'deaf to aborts') return;
          if (fault !== 'keeps aborted ones') waiting.splice(waiting.indexOf(resolve), 1);
          resolve(failure);
        };
      });
    },
    settle: next,
    cancel: next,
  });
}

/** A queue that starts the work of those who waited by itself, from wherever it is. */
function contextMixer(): AnyPolicy {
  const waiting: (() => void)[] = [];
  let taken = false;
  return raw((next) => (call) => {
    const run = (): Promise<unknown> =>
      next(call).finally(() => {
        const first = waiting.shift();
        if (first === undefined) taken = false;
        else first();
      });
    if (!taken) {
      taken = true;
      return run();
    }
    return new Promise((resolve) => {
      const start = (): void => resolve(run());
      waiting.push(start);
      call.waiter = (failure) => {
        waiting.splice(waiting.indexOf(start), 1);
        resolve(failure);
      };
    });
  });
}

const pass: Mount = (next) => next;
const fresh = (call: Call): Call => call.derive();

/** What may be wrong with a policy, and the law that notices. */
const faults: readonly { readonly fault: string; readonly law: string; readonly subject: Subject }[] = [
  ...[
    ['answers null instead of undefined', (value: unknown) => value ?? null],
    ['answers undefined instead of falsy things', (value: unknown) => (value === 0 || Number.isNaN(value) ? value : value || undefined)],
    ['copies objects', (value: unknown) => (typeof value === 'object' && value !== null ? { ...value } : value)],
  ].map(([fault, change]) => ({
    fault: fault as string,
    law: 'a result passes untouched',
    subject: {
      make: () =>
        raw((next) => async (call) => {
          const outcome = await next(call);
          return isFailure(outcome) ? outcome : (change as (value: unknown) => unknown)(outcome);
        }),
    },
  })),
  {
    fault: 'wraps errors',
    law: 'an error passes as the very thing',
    subject: {
      make: () =>
        raw((next) => async (call) => {
          const outcome = await next(call);
          return isFailure(outcome) && !(outcome.error instanceof Error)
            ? new Failure(new Error(String(outcome.error)), outcome.kind)
            : outcome;
        }),
    },
  },
  {
    fault: 'turns errors that are thrown without a promise into others',
    law: 'work that throws without a promise',
    subject: {
      make: () =>
        raw(() => async (call) => {
          try {
            return await Promise.resolve(call.work(call));
          } catch {
            return new Failure(new Error('another'), 'thrown');
          }
        }),
    },
  },
  {
    fault: 'takes only promises for asynchronous',
    law: 'a thenable is as good as a promise',
    subject: {
      make: () =>
        raw(() => (call) => {
          let answer: unknown;
          return new Promise((resolve) => {
            try {
              answer = call.work(call);
              if (answer instanceof Promise) void answer.then(resolve, (error: unknown) => resolve(new Failure(error, 'thrown')));
              else resolve({ wrapped: answer });
            } catch (error) {
              resolve(new Failure(error, 'thrown'));
            }
          });
        }),
    },
  },
  {
    fault: 'never settles every tenth call',
    law: 'a call settles once',
    subject: {
      make: () => {
        let calls = 0;
        return raw((next) => (call) => (++calls % 10 === 0 ? new Promise(() => undefined) : next(call)));
      },
    },
  },
  {
    fault: 'gives calls at the same time the result of the first',
    law: 'calls at the same time keep to themselves',
    subject: {
      make: () => {
        let shared: Promise<unknown> | undefined;
        return raw((next) => (call) => (shared ??= next(call).finally(() => (shared = undefined))));
      },
    },
  },
  {
    fault: 'hides from the work which attempt it is',
    law: 'the work is told',
    subject: { make: () => raw((next) => (call) => next(call.derive(9))) },
  },
  {
    fault: 'answers a while after the work has',
    law: 'an abort while the work runs',
    subject: {
      make: () =>
        raw((next, { clock }) => async (call) => {
          const outcome = await next(call);
          await new Promise<void>((resolve) => clock.setTimeout(resolve, 1));
          return outcome;
        }),
    },
  },
  {
    fault: 'lets the work run under a signal that nobody aborts',
    law: 'an abort while the work runs',
    subject: {
      make: () =>
        raw((next) => (call) => {
          const own = fresh(call);
          call.release(own);
          return next(own);
        }),
    },
  },
  {
    fault: 'is deaf to aborts in its queue',
    law: 'an abort while the call waits',
    subject: { make: () => places(200), waits: () => queue('deaf to aborts') },
  },
  {
    fault: 'keeps aborted calls in its queue',
    law: 'an abort while the call waits',
    subject: { make: () => places(200), waits: () => queue('keeps aborted ones') },
  },
  {
    fault: 'is deaf to a thousand aborts',
    law: 'a thousand waiting calls',
    subject: { make: () => places(200), waits: () => queue('deaf to aborts') },
  },
  { fault: "takes callers' aborts for failures", law: "callers' own aborts", subject: { make: () => opens(isFailure) } },
  {
    fault: 'lets the loser of a race reject alone',
    law: 'a result or an error that comes late',
    subject: {
      make: () =>
        raw((next) => (call) => {
          const work = new Promise((resolve) => call.signal.addEventListener('abort', resolve));
          void work.then(() => Promise.reject(new Error('lost')));
          return next(call);
        }),
    },
  },
  {
    fault: 'goes on after the deadline',
    law: 'a call ends at its deadline',
    subject: {
      make: () =>
        raw((next, { clock }) => async (call) => {
          const outcome = await next(call);
          await new Promise<void>((resolve) => clock.setTimeout(resolve, 500));
          return outcome;
        }),
    },
  },
  {
    fault: 'is deaf to the deadline in its queue',
    law: 'a waiting call ends at its deadline',
    subject: { make: () => places(200), waits: () => queue('deaf to aborts') },
  },
  {
    fault: 'leaves a timer running',
    law: 'no timer and no listener is left',
    subject: {
      make: () =>
        raw((next, { clock }) => (call) => {
          clock.setTimeout(() => undefined, 1000);
          return next(call);
        }),
    },
  },
  {
    fault: 'keeps its place when something inside refuses',
    law: 'a refusal inside passes',
    subject: { make: () => places(50, 'keeps on cancel') },
  },
  {
    fault: 'takes refusals inside for failures',
    law: 'a refusal inside passes',
    subject: {
      make: () => {
        let failures = 0;
        return raw((next) => async (call) => {
          if (failures >= 3) return full();
          const outcome = await next(call);
          if (isFailure(outcome)) failures++;
          return outcome;
        });
      },
    },
  },
  {
    fault: 'answers before what lies inside has ended',
    law: 'who enters is told',
    subject: {
      make: () =>
        raw((next) => (call) => {
          void next(call);
          return Promise.resolve('early');
        }),
    },
  },
  {
    fault: 'runs what lies inside twice',
    law: 'who enters is told',
    subject: {
      make: () =>
        raw((next) => async (call) => {
          const [first] = await Promise.all([next(fresh(call)), next(fresh(call))]);
          return first;
        }),
    },
  },
  {
    fault: 'tries again after an abort',
    law: 'who entered is told once of an abort',
    subject: {
      make: () =>
        raw((next) => async (call) => {
          const first = await next(call);
          if (isFailure(first) && first.kind === 'aborted') void next(Object.assign(fresh(call), { failure: undefined }));
          return first;
        }),
    },
  },
  {
    fault: 'refuses without a code',
    law: 'a refusal of its own',
    subject: { make: () => places(200), refuses: () => gate({ enter: () => refuse(new Error('no')) }) },
  },
  {
    fault: 'runs the work of calls that it refuses',
    law: 'a refusal of its own',
    subject: { make: () => places(200), refuses: () => raw((next) => (call) => next(call).then(full)) },
  },
  {
    fault: 'waits for a clock that went back to catch up',
    law: 'a clock that goes back',
    subject: {
      make: () => {
        let last = -Infinity;
        return gate({
          enter: (_, now) => {
            if (now < last) return full();
            last = now;
            return 'pass';
          },
        });
      },
    },
  },
  {
    fault: 'knows only the pipeline it was mounted in last',
    law: 'one policy serves two pipelines',
    subject: {
      make: () => {
        let latest: Handler;
        return raw((next) => {
          latest = next;
          return (call) => (latest === next ? next(call) : Promise.resolve(full()));
        });
      },
    },
  },
  {
    fault: 'can be mounted once only',
    law: 'one policy may be mounted twice',
    subject: {
      make: () => {
        let inside = false;
        return raw((next) => async (call) => {
          if (inside) return full();
          inside = true;
          try {
            return await next(call);
          } finally {
            inside = false;
          }
        });
      },
    },
  },
  {
    fault: 'shows what JSON has no form for',
    law: 'snapshot and describe are plain data',
    subject: { make: () => raw(pass, { snapshot: () => ({ calls: 1n }) }) },
  },
  {
    fault: 'has a kind in another spelling',
    law: 'snapshot and describe are plain data',
    subject: { make: () => raw(pass, { kind: 'NotKebab' }) },
  },
  {
    fault: 'changes when looked at',
    law: 'looking changes nothing',
    subject: {
      make: () => {
        let looks = 0;
        return raw(pass, { snapshot: () => ({ looks: looks++ }) });
      },
    },
  },
  {
    fault: 'sends events in a form of its own',
    law: 'every event carries the envelope',
    subject: {
      make: () =>
        raw((next, scope) => (call) => {
          if (scope.listening) scope.emit('Oops', 'info', call, {});
          return next(call);
        }),
    },
  },
  {
    fault: 'calls the end of a call by another name',
    law: 'each call is told as settled exactly once',
    subject: {
      make: () =>
        raw((next, scope) => (call) => {
          if (scope.listening) scope.emit('pipeline.settled', 'debug', call, { outcome: 'success' });
          return next(call);
        }),
    },
  },
  {
    fault: 'lets events through to its caller',
    law: 'a listener that throws changes nothing',
    subject: {
      make: () =>
        raw((next, scope) => (call) => {
          if (!scope.listening) return next(call);
          scope.report('own', new Error('not a listener'));
          process.emitWarning('not a listener');
          return next(call);
        }),
    },
  },
  {
    fault: 'breaks the chain of frames with a promise of its own',
    law: 'an error thrown after an await',
    subject: { make: () => raw((next) => (call) => new Promise((resolve) => void next(call).then((outcome) => resolve(outcome)))) },
  },
  {
    fault: "runs work in the first caller's context",
    law: "the work runs in its own caller's",
    subject: {
      make: () => {
        const waiting: (() => void)[] = [];
        return raw((next) => (call) => {
          return new Promise((resolve) => {
            waiting.push(() => resolve(next(call)));
            if (waiting.length === 1) void Promise.resolve().then(() => waiting.splice(0).forEach((start) => start()));
          });
        });
      },
    },
  },
  {
    fault: 'starts waiting work from wherever it is',
    law: 'work that had to wait',
    subject: { make: () => places(200), waits: contextMixer },
  },
  { fault: 'lets nobody wait', law: 'work that had to wait', subject: { make: () => places(200), waits: () => queue('lets nobody wait') } },
  {
    fault: 'takes any option',
    law: 'an unknown option is refused',
    subject: { make: () => places(200), factory: { create: () => places(200), options: { limit: 1 } } },
  },
  {
    fault: 'takes anything for options',
    law: 'options that are no object',
    subject: { make: () => places(200), factory: { create: () => places(200), options: { limit: 1 } } },
  },
  {
    fault: 'reads its options anew each time',
    law: 'options are read once',
    subject: {
      make: () => places(200),
      factory: { create: (options: { limit: number }) => raw(pass, { describe: () => ({ limit: options.limit }) }), options: { limit: 1 } },
    },
  },
];

/** What may be wrong with a gate, and the law of gates that notices. */
const gateFaults: readonly { readonly fault: string; readonly law: string; readonly subject: Subject }[] = [
  { fault: 'gives nothing for a pass', law: 'who may enter gets a pass', subject: { make: () => gate({ enter: () => undefined }) } },
  {
    fault: 'makes everybody wait',
    law: 'who may enter gets a pass',
    subject: { make: () => gate({ enter: () => Promise.resolve('pass') }) },
  },
  { fault: 'keeps its place after an abort', law: 'passes may be settled', subject: { make: () => places(60, 'keeps on failure') } },
  { fault: 'keeps its place when cancelled', law: 'a pass that is cancelled', subject: { make: () => places(200, 'keeps on cancel') } },
  {
    fault: 'counts what was cancelled',
    law: 'a pass that is cancelled',
    subject: {
      make: () => {
        let seen = 0;
        return gate({ cancel: () => (seen++, undefined) }, { snapshot: () => ({ seen }) });
      },
    },
  },
  {
    fault: 'cannot do with some outcomes',
    law: 'passes may be settled',
    subject: { make: () => gate({ settle: (_, outcome) => (outcome as { name: undefined }).name }) },
  },
  {
    fault: 'lets in nobody without a function',
    law: 'an admission without a function',
    subject: { make: () => gate({ enter: (call) => (String(call.work).includes('nothing') ? full() : 'pass') }) },
  },
  {
    fault: 'takes ignored admissions for failures',
    law: 'acquire and tryAcquire are one',
    subject: { make: () => opens((outcome) => verdictOf(outcome) !== 'success') },
  },
  {
    fault: 'makes wait who asks for an answer now',
    law: 'whoever asks for an answer now',
    subject: { make: () => places(200), waits: () => queue('deaf to aborts') },
  },
  {
    fault: 'is deaf to aborts',
    law: 'whoever can wait is let in',
    subject: { make: () => places(200), waits: () => queue('deaf to aborts') },
  },
  {
    fault: 'forgets who waits',
    law: 'whoever can wait is let in',
    subject: { make: () => places(200), waits: () => queue('keeps aborted ones') },
  },
  {
    fault: 'refuses without a code',
    law: 'a refusal is an answer',
    subject: { make: () => places(200), refuses: () => gate({ enter: () => refuse(new Error('no')) }) },
  },
];

/** Laws that the kernel keeps for every policy, however it is written; nothing a policy does can break them. */
const keptByTheKernel = [
  'a call whose signal has aborted before',
  'a pipeline of it is a policy',
  'a closed pipeline refuses',
  'closing lets running calls finish',
  'closing ends a call that waits',
];

async function broken(law: Law, subject: Subject): Promise<unknown> {
  try {
    await law.run(subject);
    return undefined;
  } catch (error) {
    return error ?? 'broken';
  }
}

/** Without the runner's own watch over unhandled rejections: one of the faults makes one on purpose. */
async function unwatched<T>(run: () => Promise<T>): Promise<T> {
  const watchers = process.rawListeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection');
  process.on('unhandledRejection', () => undefined);
  try {
    return await run();
  } finally {
    process.removeAllListeners('unhandledRejection');
    for (const watcher of watchers) process.on('unhandledRejection', watcher as (error: unknown) => void);
  }
}

const lawOf = (laws: readonly Law[], beginning: string): Law => {
  const found = laws.filter(({ title }) => title.startsWith(beginning));
  expect(found).toHaveLength(1);
  return found[0] as Law;
};

const honest: Subject = { make: () => places(200), waits: () => queue('none'), refuses: () => gate({ enter: full }) };

describe('the laws of a policy notice a policy that', () => {
  test.each(faults)('$fault', async ({ law, subject }) => {
    expect(await unwatched(() => broken(lawOf(policyLaws, law), subject))).toBeInstanceOf(Error);
  });
});

describe('the laws of a gate notice a gate that', () => {
  test.each(gateFaults)('$fault', async ({ law, subject }) => {
    expect(await broken(lawOf(gateLaws, law), subject)).toBeInstanceOf(Error);
  });
});

describe('every law', () => {
  test('is broken by some fault, or kept by the kernel', () => {
    const unproven = [...policyLaws, ...gateLaws]
      .map(({ title }) => title)
      .filter(
        (title) =>
          ![...faults, ...gateFaults].some(({ law }) => title.startsWith(law)) && !keptByTheKernel.some((law) => title.startsWith(law)),
      );
    expect(unproven).toEqual([]);
  });

  test.each([...policyLaws, ...gateLaws].filter(({ needs }) => needs !== 'factory'))('is kept by an honest gate: $title', async (law) => {
    await law.run(honest);
  });

  test('has a title of its own', () => {
    const titles = [...policyLaws, ...gateLaws].map(({ title }) => title);
    expect(new Set(titles).size).toBe(titles.length);
  });
});

describe('a contract suite', () => {
  const declared = (options: Partial<ContractOptions>): { groups: string[]; tests: string[] } => {
    const groups: string[] = [];
    const tests: string[] = [];
    const given: ContractOptions = {
      describe: (title, group) => {
        groups.push(title);
        group();
      },
      it: (title) => tests.push(title),
      ...options,
    };
    policyContract(() => places(200), given);
    gateContract(() => places(200), given);
    return { groups, tests };
  };

  test('is called what the policy is, unless told otherwise', () => {
    expect(declared({}).groups).toEqual(['faulty: the laws of a policy', 'faulty: the laws of a gate']);
    expect(declared({ name: 'mine' }).groups).toEqual(['mine: the laws of a policy', 'mine: the laws of a gate']);
  });

  test('declares the laws that the subject has all the needs of', () => {
    const needs = (need?: string): string[] => [...policyLaws, ...gateLaws].filter((law) => law.needs === need).map(({ title }) => title);
    expect(declared({}).tests).toEqual(needs());
    expect(declared({ waits: () => places(1) }).tests.sort()).toEqual([...needs(), ...needs('waits')].sort());
    expect(declared({ factory: { create: () => places(1), options: {} } }).tests).toHaveLength(needs().length + needs('factory').length);
  });

  /** What the tests that a suite declares come to. */
  const outcomes = async (options: Partial<ContractOptions>): Promise<Map<string, unknown>> => {
    const told = new Map<string, unknown>();
    const runs: Promise<void>[] = [];
    const it = (title: string, run: () => Promise<void>): void =>
      void runs.push(
        run().then(
          () => void told.set(title, 'kept'),
          (error: unknown) => void told.set(title, error),
        ),
      );
    policyContract(() => opens(isFailure), { describe: (_title, group) => group(), it, ...options });
    await Promise.all(runs);
    return told;
  };

  test('expects the laws to be broken that a subject cannot keep, and says why', async () => {
    const told = await outcomes({ exceptions: [{ law: "callers' own aborts are nobody's failure", because: 'it knows only failures' }] });
    const [title, outcome] = [...told].find(([each]) => each.startsWith('does not keep')) ?? [];
    expect(title).toBe(
      "does not keep: callers' own aborts are nobody's failure: after a hundred of them calls still get through (law 5, K7): it knows only failures",
    );
    expect(outcome).toBe('kept');
  });

  test('fails for an exception that is none any more', async () => {
    const told = await outcomes({ exceptions: [{ law: 'a result passes untouched', because: 'it copies' }] });
    const [, outcome] = [...told].find(([each]) => each.startsWith('does not keep')) ?? [];
    expect(String(outcome)).toContain('this law is kept now; take its exception out: a result passes untouched');
  });

  test('refuses an exception that names no law, or several', () => {
    const declare = (law: string): void => void declared({ exceptions: [{ law, because: 'so' }] });
    expect(() => declare('no such law')).toThrow(
      'the laws of a policy: expected an exception to name one law of the suite by a part of its title, got "no such law"',
    );
    expect(() => declare('(G1')).toThrow('expected an exception to name one law');
  });

  test('takes a clock of its own, for what takes its time from elsewhere', async () => {
    const clocks: VirtualClock[] = [];
    const clock = (): VirtualClock => clocks[clocks.push(new VirtualClock({ start: 7 })) - 1] as VirtualClock;
    await outcomes({ clock });
    expect(clocks.length).toBeGreaterThan(20);
    expect(clocks.some((each) => each.now() > 7)).toBe(true);
  });

  test('takes describe and it from the globals if they are there, and says so if they are not', () => {
    const groups: string[] = [];
    expect(() => policyContract(() => places(1))).toThrow('expected describe and it among the options, or as globals');
    Object.assign(globalThis, { describe: (title: string) => groups.push(title), it: () => undefined });
    try {
      policyContract(() => places(1));
    } finally {
      Reflect.deleteProperty(globalThis, 'describe');
      Reflect.deleteProperty(globalThis, 'it');
    }
    expect(groups).toEqual(['faulty: the laws of a policy']);
  });
});
