import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { type AnyPolicy, type PipelineEvent, RateLimitedError, attemptsOf, definePolicy, pipeline, refuse, retry } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

const error = new Error('down');
const fast = { delay: 0 } as const;

test('a process does not end in the middle of a backoff, though nothing but the retry waits', async () => {
  const entry = new URL(process.env['BUILT'] === '1' ? '../../dist/index.js' : '../../src/index.ts', import.meta.url);
  const script = `import { pipeline, retry } from ${JSON.stringify(entry.href)};
    let attempts = 0;
    const work = () => { if (++attempts < 3) throw new Error('not yet'); return 'third'; };
    pipeline([retry({ backoff: { delay: 60, jitter: 'none' } })]).execute(work).then((answer) => console.log(answer, attempts));`;
  const loader = ['--import', 'tsx', '--input-type=module', '-e', script];
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, loader, { cwd: root, timeout: 60_000 });
  expect(stdout.trim()).toBe('third 3');
}, 90_000);

describe('three layers that each retry three times', () => {
  const layers = (nested: 'suppress' | 'allow'): readonly [AnyPolicy, AnyPolicy, AnyPolicy] => {
    const layer = (name: string): AnyPolicy => retry({ backoff: fast, budget: false, nested, name });
    return [layer('outer'), layer('middle'), layer('inner')];
  };

  /** Calls that reach the service if the layers stand in one pipeline, in pipelines in pipelines, and in the works of one another. */
  const reached = async (nested: 'suppress' | 'allow'): Promise<number[]> => {
    const counts: number[] = [];
    const count = async (through: (work: () => never) => Promise<unknown>): Promise<void> => {
      let calls = 0;
      const failed = await through(() => {
        calls++;
        throw error;
      }).catch((reason: unknown) => reason);
      expect(failed).toBe(error);
      counts.push(calls);
    };
    await count((work) => pipeline(layers(nested)).execute(work));
    const [a, b, c] = layers(nested);
    await count((work) => pipeline([a, pipeline([b, pipeline([c])])]).execute(work));
    const [outer, middle, inner] = layers(nested);
    await count((work) => pipeline([outer]).execute(() => pipeline([middle]).execute(() => pipeline([inner]).execute(work))));
    return counts;
  };

  test('reach the service three times and not twenty-seven (regression: layered retries multiply)', async () => {
    expect(await reached('suppress')).toEqual([3, 3, 3]);
  });

  test('reach it twenty-seven times if that is asked for', async () => {
    expect(await reached('allow')).toEqual([27, 27, 27]);
  });
});

describe('a refusal on a later attempt', () => {
  const limited = (from: number): AnyPolicy => {
    let entered = 0;
    return definePolicy({
      kind: 'limit',
      gate: {
        enter: () => (++entered < from ? 'pass' : refuse(new RateLimitedError('slow down', { retryAfter: 1000 }))),
        settle: () => undefined,
        cancel: () => undefined,
      },
    });
  };

  test('ends the retries, and the caller learns what the work failed with and not that it never ran', async () => {
    const clock = new VirtualClock();
    const events: PipelineEvent[] = [];
    const built = pipeline([retry({ maxAttempts: 5, backoff: { delay: 10, jitter: 'none' } }), limited(3)], {
      clock,
      on: (event) => events.push(event),
    });
    let runs = 0;
    const failed = built
      .execute(() => {
        runs++;
        throw error;
      })
      .catch((reason: unknown) => reason);
    await clock.advance('1m');
    expect(await failed).toBe(error);
    expect([runs, attemptsOf(error), clock.pending]).toEqual([2, 2, 0]);
    expect(events.find(({ type }) => type === 'retry.gave-up')).toMatchObject({ reason: 'refused', attempts: 2, error });
  });

  test('is what the caller gets if no attempt ever ran', async () => {
    const built = pipeline([retry({ backoff: fast }), limited(1)]);
    expect(await built.execute(() => 1).catch((reason: unknown) => reason)).toBeInstanceOf(RateLimitedError);
  });
});
