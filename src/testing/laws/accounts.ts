/** Laws about what is taken and given back. */

import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import type { Law } from '../contract.ts';
import { Specimen, endedWith, heldWork, look, probe, sameError, wall } from '../specimen.ts';
import { hop } from '../hop.ts';

export const accountLaws: readonly Law[] = [
  {
    title: 'no timer and no listener is left once a call has settled: success, failure, refusal inside (law 11, G4)',
    run: async ({ make, clock }) => {
      const { signal } = new AbortController();
      for (const work of [() => 1, () => Promise.reject(new Error('no'))]) {
        const specimen = new Specimen(clock, make());
        await specimen.run(work, { signal, deadline: '1h' });
        specimen.leavesNothing(signal);
      }
      const refused = new Specimen(clock, make(), wall(new Error('refused inside')));
      await refused.run(() => 1, { signal, deadline: '1h' });
      refused.leavesNothing(signal);
    },
  },
  {
    title:
      'a refusal inside passes, gives everything back and is no failure: after a hundred of them calls still get through (law 2, law 5)',
    run: async ({ make, clock }) => {
      const policy = make();
      const refused = new Error('refused inside');
      const shut = new Specimen(clock, policy, wall(refused));
      for (let i = 0; i < 100; i++) sameError(await shut.run(() => 1), refused, 'a refusal inside');
      shut.leavesNothing();
      const open = new Specimen(clock, policy);
      await open.passes('after a hundred refusals inside');
      open.leavesNothing();
    },
  },
  {
    title: 'who enters is told how it ended, once, innermost first, however it ended (law 2)',
    run: async ({ make, clock }) => {
      const fail = (): Promise<never> => Promise.reject(new Error('no'));
      for (const [work, how] of [
        [() => 1, 'success'],
        [fail, 'thrown'],
      ] as const) {
        const log: string[] = [];
        await new Specimen(clock, probe('outer', log), make(), probe('inner', log)).run(work);
        balanced(log);
        strictEqual(log[0], 'enter outer');
        strictEqual(log.at(-1), `settle outer ${how}`, 'the outermost should be told last');
        ok(log.includes(`settle inner ${how}`), 'the innermost should be told how the work ended');
        if (how === 'success')
          strictEqual(log.filter((line) => line === 'enter inner').length, 1, 'work that answers should not be run again');
      }
      const log: string[] = [];
      await new Specimen(clock, probe('outer', log), make(), probe('inner', log), wall(new Error('refused'))).run(() => 1);
      balanced(log);
      strictEqual(log.at(-1), 'cancel outer', 'a call whose work never ran should be cancelled, not settled');
    },
  },
  {
    title: 'who entered is told once of an abort too (law 2)',
    run: async ({ make, clock }) => {
      const log: string[] = [];
      const specimen = new Specimen(clock, probe('outer', log), make(), probe('inner', log));
      const caller = new AbortController();
      const { work, resolve } = heldWork();
      const call = specimen.start(work, { signal: caller.signal });
      await hop();
      caller.abort('enough');
      await endedWith(call, 'enough', 'aborted while the work ran');
      resolve('late');
      await hop();
      deepStrictEqual(log, ['enter outer', 'enter inner', 'settle inner aborted', 'settle outer aborted']);
    },
  },
  {
    title: 'a refusal of its own never runs the work, is told to those outside as not run, and is given back (law 2)',
    needs: 'refuses',
    run: async ({ refuses, clock }) => {
      const log: string[] = [];
      const specimen = new Specimen(clock, probe('outer', log), (refuses as () => never)(), probe('inner', log));
      let ran = false;
      for (let i = 0; i < 3; i++) {
        const { settled } = await look(specimen.start(() => (ran = true)));
        ok(settled?.ok === false, 'the policy made by refuses should refuse at once');
        const { code, retryAfter } = settled.error as { code?: unknown; retryAfter?: unknown };
        ok(typeof code === 'string', 'a refusal should carry a code');
        ok(retryAfter === undefined || (typeof retryAfter === 'number' && retryAfter >= 0), 'retryAfter should be ms, or absent');
      }
      strictEqual(ran, false, 'a refused call should never run its work');
      deepStrictEqual(log, ['enter outer', 'cancel outer', 'enter outer', 'cancel outer', 'enter outer', 'cancel outer']);
      specimen.leavesNothing();
    },
  },
  {
    title: 'a clock that goes back stops nobody and leaves no timer behind',
    run: async ({ make, clock }) => {
      const specimen = new Specimen(clock, make());
      await specimen.clock.advance('2h');
      await specimen.passes('before the clock went back');
      specimen.clock.rewind('1h');
      const { work, resolve } = heldWork();
      const call = specimen.start(work);
      specimen.clock.rewind('30m');
      resolve('through');
      deepStrictEqual(await specimen.clock.until(call), { ok: true, value: 'through' });
      await specimen.passes('after the clock went back');
      specimen.leavesNothing();
    },
  },
];

/** Checks that what was entered was told about, once, in the order of brackets. */
function balanced(log: readonly string[]): void {
  const open: string[] = [];
  for (const line of log) {
    const [what, name] = line.split(' ') as [string, string];
    if (what === 'enter') open.push(name);
    else strictEqual(open.pop(), name, `${line}: out of order in ${log.join(', ')}`);
  }
  deepStrictEqual(open, [], `never told how it ended; ${log.join(', ')}`);
}
