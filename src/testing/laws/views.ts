/** Laws about what can be seen from outside: snapshots, descriptions, events. */

import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import type { PipelineEvent } from '../../core/events.ts';
import type { Law } from '../contract.ts';
import { hop } from '../hop.ts';
import { Specimen, heldWork, sameError, wall } from '../specimen.ts';

const levels: readonly unknown[] = ['debug', 'info', 'warn', 'error'];
const form = /^[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*$/;

export const viewLaws: readonly Law[] = [
  {
    title: 'snapshot and describe are plain data that survives JSON, also while calls are under way',
    run: async ({ make, clock }) => {
      const policy = make();
      ok(/^[a-z]+(-[a-z]+)*$/.test(policy.kind), `a kind is a word in kebab-case, and this one is ${JSON.stringify(policy.kind)}`);
      const specimen = new Specimen(clock, policy);
      const check = (): void => {
        for (const data of [specimen.pipeline.snapshot(), specimen.pipeline.describe()])
          deepStrictEqual(JSON.parse(JSON.stringify(data)), data, 'plain data should survive JSON as it is');
      };
      check();
      const { work, resolve } = heldWork();
      const call = specimen.start(work);
      await hop();
      check();
      resolve(1);
      await specimen.clock.until(call);
      await specimen.run(() => Promise.reject(new Error('no')));
      check();
    },
  },
  {
    title: 'looking changes nothing: two snapshots in a row are the same',
    run: async ({ make, clock }) => {
      const specimen = new Specimen(clock, make());
      await specimen.passes('to begin with');
      deepStrictEqual(specimen.pipeline.snapshot(), specimen.pipeline.snapshot());
      deepStrictEqual(specimen.pipeline.describe(), specimen.pipeline.describe());
      await specimen.passes('after a look');
    },
  },
  {
    title: 'every event carries the envelope: type, level, time, pipeline, policy, and the key and operation of its call',
    run: async ({ make, clock }) => {
      const policy = make();
      const seen: PipelineEvent[] = [];
      for (const specimen of [new Specimen(clock, policy), new Specimen(clock, policy, wall(new Error('refused')))]) {
        const events = specimen.record();
        const about = { key: 'k', operation: 'read' };
        await specimen.run(() => 1, about);
        await specimen.run(() => Promise.reject(new Error('no')), about);
        await specimen.run(heldWork().work, { ...about, deadline: 5 });
        seen.push(...events);
      }
      for (const event of seen) {
        ok(form.test(event.type), `an event's type is kind.past-participle, and this one is ${event.type}`);
        ok(levels.includes(event.level), `${event.type}: unknown level ${event.level}`);
        ok(Number.isFinite(event.at), `${event.type}: at should be ms on the pipeline's clock`);
        ok(typeof event.pipeline === 'string' && event.pipeline !== '', `${event.type} should name its pipeline`);
        if (!event.type.startsWith('pipeline.')) ok(typeof event.policy === 'string', `${event.type} should name its policy`);
        if (event.type === 'pipeline.settled') deepStrictEqual([event.pipeline, event.key, event.operation], ['specimen', 'k', 'read']);
      }
    },
  },
  {
    title: 'each call is told as settled exactly once, with how it ended (G6)',
    run: async ({ make, clock }) => {
      const specimen = new Specimen(clock, make());
      const events = specimen.record();
      const caller = new AbortController();
      await specimen.run(() => 1);
      await specimen.run(() => Promise.reject(new Error('no')));
      const aborted = specimen.start(heldWork().work, { signal: caller.signal });
      await hop();
      caller.abort('enough');
      await specimen.clock.until(aborted);
      const told = events.filter(({ type }) => type === 'pipeline.settled').map((event) => (event as { outcome?: unknown }).outcome);
      deepStrictEqual(told, ['success', 'thrown', 'aborted']);
    },
  },
  {
    title: 'a listener that throws changes nothing and is reported once (law 1, G5)',
    run: async ({ make, clock }) => {
      const specimen = new Specimen(clock, make());
      const warnings: unknown[] = [];
      const emitWarning = Reflect.get<typeof process, 'emitWarning'>(process, 'emitWarning');
      const error = new Error('the very one');
      specimen.pipeline.on('*', () => {
        throw new Error('a listener threw');
      });
      process.emitWarning = (warning: unknown) => void warnings.push(warning);
      try {
        await specimen.passes('with a listener that throws');
        sameError(await specimen.run(() => Promise.reject(error)), error, 'with a listener that throws');
      } finally {
        process.emitWarning = emitWarning;
      }
      strictEqual(warnings.length, 1, 'a listener that throws should be reported once');
      specimen.leavesNothing();
    },
  },
];
