import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type AnyPolicy, definePolicy, fallback, fromMiddleware, pipeline, refuse, retry, timeout } from 'breakwater';
import { VirtualClock, seededRandom } from 'breakwater/testing';

/** How one run of the work goes: its outcome, and after how many ms (undefined: at once; Infinity: never). */
interface Step {
  readonly outcome: 'value' | 'error' | 'throw';
  readonly after: number | undefined;
}

/** One call: what its runs do, when it starts, and when its caller aborts. */
interface CallPlan {
  readonly at: number;
  readonly steps: readonly Step[];
  readonly abortAfter: number | undefined;
  readonly deadline: number | undefined;
}

type Ingredient = 'timeout' | 'retry' | 'fallback' | 'gate' | 'slot' | 'queue' | 'refusing' | 'middleware' | 'nested';

const time = fc.integer({ min: 0, max: 60 });
const step = fc.record({
  outcome: fc.constantFrom('value', 'error', 'throw'),
  after: fc.option(fc.oneof(time, fc.constant(Infinity)), { nil: undefined }),
});
const plan = fc.record({
  at: time,
  steps: fc.array(step, { minLength: 1, maxLength: 4 }),
  abortAfter: fc.option(time, { nil: undefined }),
  deadline: fc.option(time, { nil: undefined }),
}) as fc.Arbitrary<CallPlan>;
const ingredients = fc.array(
  fc.constantFrom<Ingredient>('timeout', 'retry', 'fallback', 'gate', 'slot', 'queue', 'refusing', 'middleware', 'nested'),
  { maxLength: 6 },
);

interface Books {
  entered: number;
  told: number;
  readonly open: Set<object>;
}

function make(ingredient: Ingredient, index: number, books: Books, random: () => number): AnyPolicy {
  const name = `${ingredient}-${index}`;
  const enter = (): object => {
    const pass = {};
    books.entered++;
    books.open.add(pass);
    return pass;
  };
  const leave = (pass: unknown): void => {
    books.told++;
    if (!books.open.delete(pass as object)) throw new Error(`${name}: told twice`);
  };
  const keep = { settle: leave, cancel: leave };
  switch (ingredient) {
    case 'timeout':
      return timeout({ after: 20, name });
    case 'retry':
      return retry({ maxAttempts: 3, backoff: { delay: 10 }, name });
    case 'fallback':
      return fallback({ value: 'fallback', name });
    case 'gate':
      return definePolicy({ kind: 'gate', name, gate: { enter, ...keep } });
    case 'slot':
      return definePolicy({ kind: 'slot', name, gate: { enter, ...keep, until: 'work' } });
    case 'queue':
      return definePolicy({
        kind: 'queue',
        name,
        gate: {
          enter: (call) =>
            new Promise((resolve) => {
              const { clock } = call.scope;
              const timer = clock.setTimeout(() => resolve(enter()), 5);
              call.waiter = (failure) => (clock.clearTimeout(timer), resolve(failure));
            }),
          ...keep,
        },
      });
    case 'refusing':
      return definePolicy({
        kind: 'refusing',
        name,
        gate: { enter: () => (random() < 0.3 ? refuse(new Error('refused')) : enter()), ...keep },
      });
    case 'middleware':
      return fromMiddleware(async (_call, next) => await next(), { name });
    case 'nested':
      return pipeline([retry({ maxAttempts: 2, backoff: { delay: 1 } }), definePolicy({ kind: 'gate', gate: { enter, ...keep } })], {
        name,
      });
  }
}

test('whatever is stacked and however calls go, each settles once and leaves nothing behind (laws 1, 2, 11; G1, G3, G4)', async () => {
  await fc.assert(
    fc.asyncProperty(ingredients, fc.array(plan, { minLength: 1, maxLength: 6 }), fc.integer(), async (kinds, plans, seed) => {
      const clock = new VirtualClock();
      const random = seededRandom(seed);
      const books: Books = { entered: 0, told: 0, open: new Set() };
      const built = pipeline(
        kinds.map((kind, i) => make(kind, i, books, random)),
        { clock, random },
      );
      const faults: unknown[] = [];
      built.on('pipeline.callback-failed', ({ error }) => faults.push(error));
      const signals: AbortSignal[] = [];
      let settled = 0;
      let hanging = 0;
      const run = (steps: readonly Step[], attempt: number): unknown => {
        const { outcome, after } = steps[Math.min(attempt, steps.length) - 1] as Step;
        const end = (): unknown => {
          if (outcome === 'value') return 'value';
          throw new Error(outcome);
        };
        if (after === undefined) return outcome === 'throw' ? end() : Promise.resolve().then(end);
        if (after === Infinity) {
          hanging++;
          return new Promise(() => undefined);
        }
        return new Promise<void>((resolve) => void clock.setTimeout(resolve, after)).then(end);
      };
      for (const { at, steps, abortAfter, deadline } of plans) {
        const caller = new AbortController();
        signals.push(caller.signal);
        clock.setTimeout(() => {
          void built
            .execute(({ attempt }) => run(steps, attempt), { signal: caller.signal, deadline })
            .then(
              () => settled++,
              () => settled++,
            );
          if (abortAfter !== undefined) clock.setTimeout(() => caller.abort(), abortAfter);
        }, at);
      }
      await clock.advance('1h');
      expect(faults).toEqual([]);
      const mayHang = hanging > 0;
      if (!mayHang) {
        expect(settled).toBe(plans.length);
        expect(books.open.size).toBe(0);
        expect(built.snapshot().active).toBe(0);
        for (const signal of signals) expect(getEventListeners(signal, 'abort')).toHaveLength(0);
      } else {
        expect(settled + built.snapshot().active).toBe(plans.length);
      }
      expect(books.entered).toBe(books.told + books.open.size);
      expect(clock.pending).toBe(0);
    }),
    { numRuns: 1500 },
  );
});
