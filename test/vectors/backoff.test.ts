import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pipeline, retry, type BackoffOptions } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { type VectorFile, replay } from './replay.mjs';

/** Fields of the inputs that these cases use. */
interface Input {
  readonly fn: string;
  readonly kind: 'constant' | 'linear' | 'exponential';
  readonly attempt: number;
  readonly n: number;
  readonly u: number;
  readonly us: readonly number[];
  readonly baseMs: number;
  readonly capMs?: number;
  readonly maxMs?: number;
  readonly jitter?: boolean;
  readonly random: number;
  readonly randomList: readonly number[];
  readonly randoms: readonly number[];
  readonly count: number;
  readonly delay: number;
  readonly factor: number;
  readonly config: {
    readonly kind: string;
    readonly list: readonly number[];
    readonly initialMs: number;
    readonly factor: number;
    readonly maxMs?: number;
  };
}

/** The waits of one call whose work always fails, through the public surface. */
async function waits(backoff: BackoffOptions, count: number, us: readonly number[]): Promise<number[]> {
  const clock = new VirtualClock();
  const found: number[] = [];
  let draws = 0;
  const steady = pipeline([retry({ maxAttempts: count + 1, backoff })], { clock, random: () => us[draws++ % us.length] as number });
  steady.on('retry.scheduled', ({ delay }) => found.push(delay));
  const done = steady.execute(() => Promise.reject(new Error('down'))).catch(() => undefined);
  await clock.runAll();
  await done;
  return found;
}

async function last(backoff: BackoffOptions, count: number, us: readonly number[]): Promise<{ delay: number }> {
  return { delay: (await waits(backoff, count, us)).at(-1) as number };
}

const adapter = {
  async fn(i: Input): Promise<object> {
    const cap = { maxDelay: i.maxMs ?? i.capMs ?? Infinity };
    switch (i.fn) {
      case 'polly': {
        const delay = Math.min(i.baseMs, cap.maxDelay);
        if (!i.jitter) return await last({ kind: i.kind, delay, ...cap, jitter: 'none' }, i.attempt + 1, [0]);
        if (i.kind !== 'exponential') return await last({ kind: i.kind, delay, ...cap, jitter: 'proportional' }, i.attempt + 1, [i.random]);
        return { delays: await waits({ delay, ...cap, jitter: 'decorrelated-v2' }, i.attempt + 1, i.randomList) };
      }
      case 'decorrelatedV2':
        return { delays: await waits({ delay: i.baseMs, ...cap, jitter: 'decorrelated-v2' }, i.randoms.length, i.randoms) };
      case 'sequence':
        return {
          delays: await waits(
            { delay: i.config.initialMs, factor: i.config.factor, maxDelay: i.config.maxMs ?? Infinity, jitter: 'none' },
            i.count,
            [0],
          ),
        };
      case 'awsFull':
        return await last({ delay: i.baseMs, ...cap, jitter: 'full' }, i.n + 1, [i.u]);
      case 'awsEqual':
        return await last({ delay: i.baseMs, ...cap, jitter: 'equal' }, i.n + 1, [i.u]);
      case 'awsDecorr':
        return { delays: await waits({ delay: i.baseMs, ...cap, jitter: 'decorrelated' }, i.us.length, i.us) };
      case 'smithyDelay':
        return await last({ delay: i.baseMs, ...cap, jitter: 'full' }, i.attempt + 1, [i.random]);
      default:
        throw new Error(`not offered: ${i.fn}`);
    }
  },
};

/** Schedules of other libraries that this one does not offer by name (a function as `backoff` makes any of them). */
const declined: Readonly<Record<string, string>> = {
  randomFactor: 'resilience4j and Finagle: jitter by an own factor and direction; ours is `proportional`',
  envoyLowerBound: 'Envoy: jitter above a lower bound',
  between: 'a random delay between two bounds',
  randomPlusMinus: 'jitter of a fixed width',
  grpcA6: 'gRPC: jitter may exceed the cap; ours never does',
  smithyTimings: "smithy's quota with its own base delays: comes with the retry budgets",
  cubicSuccess: 'client-side rate control, not a backoff',
};
const otherSequences = new Set(['list', 'linear', 'envoyFullJitter', 'urllib3']);

test('third-party vectors 18: backoff', async () => {
  const file = JSON.parse(readFileSync(new URL('18-backoff.json', import.meta.url), 'utf8')) as VectorFile<Input>;
  const offered = file.cases.filter(
    ({ in: input }) => !(input.fn in declined) && !(input.fn === 'sequence' && otherSequences.has(input.config.kind)),
  );
  const result = await replay({ ...file, cases: offered }, adapter, { has: () => true });
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(29);
});
