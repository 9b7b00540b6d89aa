/** Laws about what surrounds a call: its caller's stack and its caller's context. */

import { deepStrictEqual, ok } from 'node:assert/strict';
import { AsyncLocalStorage } from 'node:async_hooks';
import type { Law } from '../contract.ts';
import { hop } from '../hop.ts';
import { Specimen, heldWork, look } from '../specimen.ts';

export const surroundingLaws: readonly Law[] = [
  {
    title: 'an error thrown after an await in the work keeps the frames of its async callers (law 9)',
    run: async ({ make, clock }) => {
      const specimen = new Specimen(clock, make());
      const failing = async (): Promise<never> => {
        await Promise.resolve();
        throw new Error('deep inside');
      };
      async function theCallerOfTheCall(): Promise<unknown> {
        return await specimen.pipeline.execute(failing);
      }
      const error = await specimen.clock.until(theCallerOfTheCall().catch((thrown: unknown) => thrown));
      const stack = String((error as Error).stack);
      ok(stack.includes('theCallerOfTheCall'), `the stack should lead back to the caller, and is\n${stack}`);
    },
  },
  {
    title: "the work runs in its own caller's AsyncLocalStorage context, and so does what follows the call (law 10, G7)",
    run: async ({ make, clock }) => {
      const specimen = new Specimen(clock, make());
      const context = new AsyncLocalStorage<number>();
      const seen: unknown[] = [];
      const calls = Array.from({ length: 5 }, (_, i) =>
        context.run(i, async () => {
          const before: unknown[] = [];
          await specimen.start(async () => {
            before.push(context.getStore());
            await Promise.resolve();
            before.push(context.getStore());
            if (i % 2 === 1) throw new Error('no');
          });
          seen[i] = [...new Set(before), context.getStore()];
        }),
      );
      await specimen.clock.until(Promise.all(calls));
      deepStrictEqual(
        seen,
        calls.map((_, i) => [i, i]),
      );
    },
  },
  {
    title: "work that had to wait runs in its own caller's context, not in that of whoever made room (law 10, G7)",
    needs: 'waits',
    run: async ({ waits, clock }) => {
      const specimen = new Specimen(clock, (waits as () => never)());
      const context = new AsyncLocalStorage<string>();
      const seen: unknown[] = [];
      const first = heldWork();
      const running = context.run('first', () => specimen.start(first.work));
      await hop();
      const call = context.run('second', async () => {
        const outcome = await specimen.start(() => {
          seen.push(context.getStore());
          throw new Error('again');
        });
        seen.push(context.getStore());
        return outcome;
      });
      ok((await look(call)).settled === undefined, 'the policy made by waits should let the second call wait');
      context.run('stranger', () => first.resolve('done'));
      await context.run('clock', () => specimen.clock.until(Promise.all([running, call])));
      ok(seen.length > 0, 'the second call should have settled');
      deepStrictEqual([...new Set(seen)], ['second'], `the contexts seen should be the caller's own, and are ${seen.join(', ')}`);
    },
  },
];
