/** Laws about what the caller gets. */

import { ok, strictEqual } from 'node:assert/strict';
import type { Law } from '../contract.ts';
import { Specimen, sameError } from '../specimen.ts';

const values: readonly unknown[] = [undefined, null, false, 0, -0, NaN, '', 'text', { a: 'object' }, [], new Error('a value'), () => 1];
const errors: readonly unknown[] = [new Error('the very one'), { no: 'error' }, 'a string', undefined, null, 0];

export const resultLaws: readonly Law[] = [
  {
    title: 'a result passes untouched: undefined, null, false, 0, NaN, the very object (law 4)',
    run: async ({ make, clock }) => {
      for (const value of values) {
        for (const work of [() => value, () => Promise.resolve(value)]) {
          const outcome = await new Specimen(clock, make()).run(work);
          ok(outcome.ok, `work that answers with ${String(value)} should resolve`);
          ok(Object.is(outcome.value, value), `the result should be ${String(value)} itself, and is ${String(outcome.value)}`);
          ok(!('degraded' in outcome), 'a result of the work itself should not be called degraded');
        }
      }
    },
  },
  {
    title: 'an error passes as the very thing that was thrown: an object, a string, undefined (law 4, G2)',
    run: async ({ make, clock }) => {
      for (const error of errors) {
        sameError(await new Specimen(clock, make()).run(() => Promise.reject(error)), error, 'work that rejects');
        const later = async (): Promise<never> => {
          await Promise.resolve();
          throw error;
        };
        sameError(await new Specimen(clock, make()).run(later), error, 'work that throws after an await');
      }
    },
  },
  {
    title: 'work that throws without a promise rejects, and execute itself never throws (G2)',
    run: async ({ make, clock }) => {
      for (const error of errors) {
        const specimen = new Specimen(clock, make());
        const work = (): never => {
          throw error;
        };
        let promise: Promise<unknown>;
        try {
          promise = specimen.pipeline.execute(work);
        } catch {
          throw new Error('execute threw at once; it should answer with a promise that rejects');
        }
        await specimen.clock.until(
          promise.then(
            () => ok(false, 'the call should reject'),
            (got: unknown) => ok(Object.is(got, error), `the caller should see the very thing that was thrown, and got ${String(got)}`),
          ),
        );
      }
    },
  },
  {
    title: 'a thenable is as good as a promise, also one that answers twice or whose then throws (G2)',
    run: async ({ make, clock }) => {
      const error = new Error('then');
      const thenables: ((resolve: (value: unknown) => void, reject: (error: unknown) => void) => void)[] = [
        (resolve) => resolve(7),
        (resolve) => {
          resolve(7);
          resolve(8);
        },
        (resolve, reject) => {
          resolve(7);
          reject(error);
        },
        (resolve) => {
          resolve(7);
          throw error;
        },
      ];
      for (const then of thenables) {
        const outcome = await new Specimen(clock, make()).run(() => ({ then }));
        ok(outcome.ok && outcome.value === 7, 'a thenable should give its first answer');
      }
      const broken = {
        get then(): never {
          throw error;
        },
      };
      sameError(await new Specimen(clock, make()).run(() => broken), error, 'a thenable whose then throws');
    },
  },
  {
    title: 'a call settles once, and one after another all settle (G1)',
    run: async ({ make, clock }) => {
      const specimen = new Specimen(clock, make());
      let settled = 0;
      for (let i = 1; i <= 100; i++) {
        const count = (): number => settled++;
        await specimen.clock.until(specimen.pipeline.execute((() => i) as () => never).then(count, count));
        strictEqual(settled, i, `call ${i} should have settled exactly once`);
      }
      specimen.leavesNothing();
    },
  },
  {
    title: 'calls at the same time keep to themselves: each gets its own result and its own error (G1)',
    run: async ({ make, clock }) => {
      const specimen = new Specimen(clock, make());
      const calls = Array.from({ length: 20 }, (_, i) =>
        specimen.start(async () => {
          for (let turn = 0; turn < 20 - i; turn++) await Promise.resolve();
          return i;
        }),
      );
      const outcomes = await specimen.clock.until(Promise.all(calls));
      outcomes.forEach((outcome, i) => ok(outcome.ok && outcome.value === i, `call ${i} should get its own result`));
      specimen.leavesNothing();
    },
  },
  {
    title: 'the work is told its key, operation, priority, tags, attempt and signal',
    run: async ({ make, clock }) => {
      const tags = { shelf: 3 };
      let told: unknown[] = [];
      await new Specimen(clock, make()).run(
        ({ key, operation, priority, tags: carried, attempt, signal }) => {
          told = [key, operation, priority, carried, attempt, signal.aborted];
        },
        { key: 'k', operation: 'read', priority: 'sheddable', tags },
      );
      for (const [i, expected] of ['k', 'read', 'sheddable', tags, 1, false].entries())
        strictEqual(told[i], expected, 'what the caller says about a call should reach the work');
    },
  },
];
