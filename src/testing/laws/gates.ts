/** Laws about gates: what is let in, told how it ended, and given back. */

import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import type { Admission, Refusal } from '../../core/admission.ts';
import { verdictOf } from '../../core/outcome.ts';
import type { GatePolicy } from '../../core/policy.ts';
import type { Law, Subject } from '../contract.ts';
import { GateBench, endings } from '../gate-bench.ts';
import { hop } from '../hop.ts';
import { Specimen, probe } from '../specimen.ts';

export const gateLaws: readonly Law[] = [
  {
    title: 'who may enter gets a pass at once, and a pass is something',
    run: async ({ make, clock }) => {
      const bench = new GateBench(clock, make() as GatePolicy);
      for (let i = 0; i < 200; i++) {
        const pass = bench.enter();
        ok(pass !== undefined, 'a pass may be anything but undefined');
        bench.gate.settle(pass, 'done', bench.clock.now());
      }
      await hop();
      strictEqual(bench.clock.pending, 0, 'timers are left behind');
    },
  },
  {
    title: 'a pass that is cancelled leaves no trace: nothing is judged, all is given back (law 2, L6)',
    run: async ({ make, clock }) => {
      const bench = new GateBench(clock, make() as GatePolicy);
      bench.gate.cancel(bench.enter(), 0);
      const before = bench.policy.snapshot();
      for (let i = 0; i < 300; i++) bench.gate.cancel(bench.enter(), bench.clock.now());
      deepStrictEqual(bench.policy.snapshot(), before, 'the state should be what it was before they entered');
      await hop();
      strictEqual(bench.clock.pending, 0, 'timers are left behind');
    },
  },
  {
    title: 'passes may be settled in any order, with any outcome, and settling never throws (law 2)',
    run: async ({ make, clock }) => {
      const bench = new GateBench(clock, make() as GatePolicy);
      const passes = endings.map(() => bench.enter());
      const order = [3, 0, 5, 2, 4, 1];
      deepStrictEqual(order.toSorted(), [...endings.keys()]);
      for (const i of order) bench.gate.settle(passes[i], endings[i], bench.clock.now());
      const harmless = endings.filter((outcome) => verdictOf(outcome) !== 'failure');
      for (let round = 0; round < 40; round++) {
        const taken = harmless.map((outcome) => ({ outcome, pass: bench.enter() }));
        for (const { outcome, pass } of taken.toReversed()) bench.gate.settle(pass, outcome, bench.clock.now());
      }
      await hop();
      strictEqual(bench.clock.pending, 0, 'timers are left behind');
    },
  },
  {
    title: 'an admission without a function is told once how it ended; a second word changes nothing',
    run: async ({ make, clock }) => {
      for (const [end, how] of [
        [(admission: Admission) => admission.success(1), 'success'],
        [(admission: Admission) => admission.failure(new Error('no')), 'thrown'],
        [(admission: Admission) => admission.ignore(), 'aborted'],
        [(admission: Admission) => admission[Symbol.dispose](), 'aborted'],
      ] as const) {
        const log: string[] = [];
        const specimen = new Specimen(clock, probe('outer', log), make());
        const admission = specimen.pipeline.tryAcquire();
        ok(admission.admitted, 'a roomy gate should admit');
        strictEqual(admission.signal.aborted, false);
        end(admission);
        admission.success('again');
        admission.failure(new Error('again'));
        admission.ignore();
        admission[Symbol.dispose]();
        await hop();
        deepStrictEqual(log, ['enter outer', `settle outer ${how}`]);
        specimen.leavesNothing();
      }
    },
  },
  {
    title: 'acquire and tryAcquire are one: both admit, and a hundred ignored admissions change nothing (law 5)',
    run: async ({ make, clock }) => {
      const specimen = new Specimen(clock, make());
      for (let i = 0; i < 50; i++) {
        const now = specimen.pipeline.tryAcquire();
        ok(now.admitted, 'a roomy gate should admit at once');
        now.ignore();
        (await specimen.clock.until(specimen.pipeline.acquire())).ignore();
      }
      await specimen.passes('after a hundred ignored admissions');
      specimen.leavesNothing();
    },
  },
  {
    title: 'whoever asks for an answer now is refused rather than made to wait',
    needs: 'waits',
    run: async (subject) => {
      const specimen = await occupied(subject);
      const answer = specimen.pipeline.tryAcquire();
      refused(answer);
      strictEqual(specimen.pipeline.snapshot().active, 1, 'only the call that was let in should be under way');
    },
  },
  {
    title: 'whoever can wait is let in once there is room, and an abort meanwhile ends the wait in the same tick (law 5)',
    needs: 'waits',
    run: async (subject) => {
      const specimen = await occupied(subject);
      const caller = new AbortController();
      const reason = { why: 'an object' };
      const waiting = specimen.pipeline.acquire();
      const leaving = specimen.pipeline.acquire({ signal: caller.signal }).then(
        () => 'admitted',
        (error: unknown) => error,
      );
      await hop();
      caller.abort(reason);
      const seen = await Promise.race([leaving, hop().then(() => 'pending')]);
      ok(Object.is(seen, reason), 'an abort should end the wait in the same tick with the very reason');
      specimen.admission.success();
      const admission = await specimen.clock.until(waiting);
      admission.success();
      (await specimen.clock.until(specimen.pipeline.acquire())).success();
      await hop();
      specimen.leavesNothing(caller.signal);
    },
  },
  {
    title: 'a refusal is an answer to tryAcquire and a rejection to acquire, with the same kind of error',
    needs: 'refuses',
    run: async ({ refuses, clock }) => {
      const specimen = new Specimen(clock, (refuses as () => GatePolicy)());
      const { error } = refused(specimen.pipeline.tryAcquire());
      const rejected: unknown = await specimen.pipeline.acquire().then(
        () => undefined,
        (thrown: unknown) => thrown,
      );
      strictEqual((rejected as { code?: unknown } | undefined)?.code, (error as { code?: unknown }).code);
      specimen.leavesNothing();
    },
  },
];

/** A pipeline whose gate has let one call in and makes the next one wait. */
async function occupied({ waits, clock }: Subject): Promise<Specimen & { admission: Admission }> {
  const specimen = new Specimen(clock, (waits as () => GatePolicy)());
  const admission = specimen.pipeline.tryAcquire();
  ok(admission.admitted, 'the policy made by waits should let the first call in');
  await hop();
  return Object.assign(specimen, { admission });
}

function refused(answer: Admission | Refusal): Refusal {
  ok(!answer.admitted, 'the gate should refuse');
  ok(typeof (answer.error as { code?: unknown }).code === 'string', 'a refusal should carry an error with a code');
  ok(answer.retryAfter === undefined || answer.retryAfter >= 0, 'retryAfter should be ms, or absent');
  return answer;
}
