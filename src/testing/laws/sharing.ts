/** Laws about policies in several places, pipelines inside pipelines, and the end of a pipeline. */

import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { pipeline } from '../../core/pipeline.ts';
import type { AnyPolicy } from '../../core/policy.ts';
import type { Law } from '../contract.ts';
import { hop } from '../hop.ts';
import { Specimen, heldWork, look, sameError, untilAborted } from '../specimen.ts';

export const sharingLaws: readonly Law[] = [
  {
    title: 'one policy serves two pipelines at once (law 8)',
    run: async ({ make, clock }) => {
      const policy = make();
      const [one, other] = [new Specimen(clock, policy), new Specimen(clock, policy)];
      const { work, resolve } = heldWork();
      const calls = [one.start(work), other.start(work)];
      await hop();
      resolve('both');
      deepStrictEqual(await Promise.all([one.clock.until(calls[0] as never), other.clock.until(calls[1] as never)]), [
        { ok: true, value: 'both' },
        { ok: true, value: 'both' },
      ]);
      one.leavesNothing();
      other.leavesNothing();
    },
  },
  {
    title: 'one policy may be mounted twice around one call (law 8)',
    run: async ({ make, clock }) => {
      const policy = make();
      const specimen = new Specimen(clock, policy, nested(policy));
      await specimen.passes('mounted twice');
      const error = new Error('the very one');
      sameError(await specimen.run(() => Promise.reject(error)), error, 'mounted twice');
      specimen.leavesNothing();
    },
  },
  {
    title: 'a pipeline of it is a policy: inside another one results, errors and aborts pass as they are (law 8)',
    run: async ({ make, clock }) => {
      const error = new Error('the very one');
      await new Specimen(clock, nested(make())).passes('nested');
      sameError(await new Specimen(clock, nested(make())).run(() => Promise.reject(error)), error, 'nested');
      const specimen = new Specimen(clock, nested(make()));
      const caller = new AbortController();
      const call = specimen.start(heldWork().work, { signal: caller.signal });
      await hop();
      caller.abort(error);
      sameError((await look(call)).settled ?? { ok: true, value: 'pending' }, error, 'nested and aborted');
      specimen.leavesNothing(caller.signal);
    },
  },
  {
    title: 'a closed pipeline refuses at once and never runs the work; closing it again does no harm (G10)',
    run: async ({ make, clock }) => {
      const specimen = new Specimen(clock, make());
      await specimen.pipeline.close();
      await specimen.pipeline.close();
      let ran = false;
      const { settled } = await look(specimen.start(() => (ran = true)));
      ok(settled?.ok === false, 'a closed pipeline should refuse');
      strictEqual((settled.error as { code?: unknown } | undefined)?.code, 'ERR_SHUTDOWN');
      strictEqual(ran, false, 'a closed pipeline should not run the work');
      specimen.leavesNothing();
    },
  },
  {
    title: 'closing lets running calls finish, and aborts the work that outlasts the drain (G10)',
    run: async ({ make, clock }) => {
      const specimen = new Specimen(clock, make());
      const quick = heldWork();
      const calls = [specimen.start(quick.work), specimen.start(untilAborted)] as const;
      await hop();
      const closed = specimen.pipeline.close({ drain: '1s' });
      quick.resolve('finished');
      deepStrictEqual((await look(calls[0])).settled, { ok: true, value: 'finished' });
      await specimen.clock.until(closed);
      const { settled } = await look(calls[1]);
      ok(settled?.ok === false, 'work that outlasts the drain should be told through its signal');
      strictEqual((settled.error as { code?: unknown } | undefined)?.code, 'ERR_SHUTDOWN');
      specimen.leavesNothing();
    },
  },
  {
    title: 'closing ends a call that waits, once the drain is over (G10)',
    needs: 'waits',
    run: async ({ waits, clock }) => {
      const specimen = new Specimen(clock, (waits as () => never)());
      const first = specimen.start(untilAborted);
      await hop();
      const second = specimen.start(() => Promise.reject(new Error('again')));
      await hop();
      const closed = specimen.pipeline.close({ drain: '1s' });
      await specimen.clock.advance('1s');
      await closed;
      for (const call of [first, second]) ok((await look(call)).settled?.ok === false, 'a call should be cut when the drain is over');
      specimen.leavesNothing();
    },
  },
];

function nested(policy: AnyPolicy): AnyPolicy {
  return pipeline<readonly AnyPolicy[]>([policy] as never, { name: 'nested' });
}
