/** Laws about calls that are cut short. */

import { ok, strictEqual } from 'node:assert/strict';
import type { Law } from '../contract.ts';
import { Specimen, endedWith, heldWork, look, reasons } from '../specimen.ts';
import { hop } from '../hop.ts';

export const endingLaws: readonly Law[] = [
  {
    title: 'a call whose signal has aborted before never runs the work, and rejects with the very reason (law 5)',
    run: async ({ make, clock }) => {
      for (const reason of reasons) {
        const specimen = new Specimen(clock, make());
        const signal = AbortSignal.abort(reason);
        let ran = false;
        await endedWith(
          specimen.start(() => (ran = true), { signal }),
          reason,
          'aborted before',
        );
        strictEqual(ran, false, 'the work of a call that was aborted before should never run');
        specimen.leavesNothing(signal);
      }
    },
  },
  {
    title: 'an abort while the work runs ends the call in the same tick with the very reason, also a plain string (law 4, law 5)',
    run: async ({ make, clock }) => {
      for (const reason of reasons) {
        const specimen = new Specimen(clock, make());
        const caller = new AbortController();
        const { work } = heldWork();
        let signal: AbortSignal | undefined;
        const call = specimen.start((own) => ((signal = own.signal), work(own)), { signal: caller.signal });
        strictEqual((await look(call)).settled, undefined, 'the call should wait for its work');
        caller.abort(reason);
        await endedWith(call, reason, 'aborted while the work ran');
        ok(signal?.aborted, "the work's signal should abort with the caller's");
        ok(Object.is(signal.reason, reason), "the work's signal should carry the caller's very reason");
        specimen.leavesNothing(caller.signal);
      }
    },
  },
  {
    title: 'an abort while the call waits ends it in the same tick with the very reason, and its place is given back (law 5, G4)',
    needs: 'waits',
    run: async ({ waits, clock }) => {
      for (const reason of reasons) {
        const specimen = new Specimen(clock, (waits as () => never)());
        const first = heldWork();
        const running = specimen.start(first.work);
        const caller = new AbortController();
        const failing = (): never => {
          throw new Error('again');
        };
        await hop();
        const call = specimen.start(failing, { signal: caller.signal });
        strictEqual((await look(call)).settled, undefined, 'the policy made by waits should let the second call wait');
        caller.abort(reason);
        await endedWith(call, reason, 'aborted while it waited');
        first.resolve('done');
        const { settled } = await look(running);
        ok(settled?.ok, 'the call that ran should end as if the other had never been');
        specimen.leavesNothing(caller.signal);
        await specimen.clock.advance('24h');
        await specimen.passes('after an abort in the queue');
        specimen.leavesNothing();
      }
    },
  },
  {
    title: 'a thousand waiting calls that are aborted at once all reject and leave nothing on the signal they share (G4)',
    needs: 'waits',
    run: async ({ waits, clock }) => {
      const specimen = new Specimen(clock, (waits as () => never)());
      const first = heldWork();
      const running = specimen.start(first.work);
      await hop();
      const caller = new AbortController();
      const fail = (): Promise<never> => Promise.reject(new Error('again'));
      const calls = Array.from({ length: 1000 }, () => specimen.start(fail, { signal: caller.signal }));
      await hop();
      caller.abort('all');
      const { settled } = await look(Promise.all(calls) as never);
      ok(settled !== undefined, 'all calls should have ended in the same tick');
      first.resolve('done');
      await specimen.clock.until(running);
      specimen.leavesNothing(caller.signal);
    },
  },
  {
    title: "callers' own aborts are nobody's failure: after a hundred of them calls still get through (law 5, K7)",
    run: async ({ make, clock }) => {
      const specimen = new Specimen(clock, make());
      for (let i = 0; i < 100; i++) {
        const caller = new AbortController();
        const { work, resolve } = heldWork();
        const call = specimen.start(work, { signal: caller.signal });
        await hop();
        caller.abort('enough');
        await endedWith(call, 'enough', `abort ${i + 1}`);
        resolve('late');
        await hop();
      }
      await specimen.passes('after a hundred aborts by callers');
      specimen.leavesNothing();
    },
  },
  {
    title: 'a result or an error that comes late is swallowed: no second answer, no unhandled rejection (law 1, G3, T3)',
    run: async ({ make, clock }) => {
      const unhandled: unknown[] = [];
      const note = (error: unknown): void => void unhandled.push(error);
      process.on('unhandledRejection', note);
      try {
        for (const end of [
          (held: ReturnType<typeof heldWork>) => held.resolve('late'),
          (held: ReturnType<typeof heldWork>) => held.reject('late'),
        ]) {
          const specimen = new Specimen(clock, make());
          const events = specimen.record();
          const aborted = heldWork();
          const expired = heldWork();
          const caller = new AbortController();
          const calls = [specimen.start(aborted.work, { signal: caller.signal }), specimen.start(expired.work, { deadline: '1s' })];
          await hop();
          caller.abort('enough');
          await specimen.clock.advance('1s');
          for (const call of calls) ok((await look(call)).settled?.ok === false, 'a call that was cut short should have rejected');
          end(aborted);
          end(expired);
          await hop();
          await hop();
          strictEqual(events.filter(({ type }) => type === 'pipeline.late').length, 2, 'each late outcome should be told once');
          specimen.leavesNothing(caller.signal);
        }
      } finally {
        process.off('unhandledRejection', note);
      }
      strictEqual(unhandled.length, 0, 'a late outcome became an unhandled rejection');
    },
  },
  {
    title: 'a call ends at its deadline, whatever its work does (G1, T1)',
    run: async ({ make, clock }) => {
      const specimen = new Specimen(clock, make());
      let signal: AbortSignal | undefined;
      const call = specimen.start((own) => ((signal = own.signal), new Promise(() => undefined)), { deadline: '1s' });
      await specimen.clock.advance(999);
      strictEqual((await look(call)).settled, undefined, 'the call should not end before its deadline');
      await specimen.clock.advance(1);
      const { settled } = await look(call);
      ok(settled?.ok === false, 'the call should reject at its deadline');
      strictEqual((settled.error as { code?: unknown } | undefined)?.code, 'ERR_TIMEOUT');
      strictEqual(signal?.reason, settled.error, "the work's signal should abort with the error that the caller gets");
      specimen.leavesNothing();
    },
  },
  {
    title: 'a waiting call ends at its deadline, and its place is given back (G1, R2)',
    needs: 'waits',
    run: async ({ waits, clock }) => {
      const specimen = new Specimen(clock, (waits as () => never)());
      const first = heldWork();
      const running = specimen.start(first.work);
      await hop();
      const call = specimen.start(() => Promise.reject(new Error('again')), { deadline: '1s' });
      await specimen.clock.advance('1s');
      const { settled } = await look(call);
      ok(settled?.ok === false, 'a waiting call should have rejected by its deadline');
      first.resolve('done');
      await specimen.clock.until(running);
      specimen.leavesNothing();
    },
  },
];
