import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pipeline, retry, retryBudget, type BackoffOptions } from 'breakwater';
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
  readonly upFirst: boolean;
  readonly generation: 'v1' | '2026';
  readonly errors: readonly ('TRANSIENT' | 'THROTTLING')[];
  readonly config: {
    readonly kind: string;
    readonly list: readonly number[];
    readonly initialMs: number;
    readonly stepMs: number;
    readonly factor: number;
    readonly factorMs: number;
    readonly maxMs?: number;
  };
}

/** The waits of one call whose work always fails, through the public surface. */
async function waits(backoff: BackoffOptions | ((retry: number) => number), count: number, us: readonly number[]): Promise<number[]> {
  const clock = new VirtualClock();
  const found: number[] = [];
  let draws = 0;
  const steady = pipeline([retry({ maxAttempts: count + 1, backoff, budget: false })], {
    clock,
    random: () => us[draws++ % us.length] as number,
  });
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
        return { delays: await waits(sequence(i.config), i.count, [0]) };
      case 'randomFactor':
      case 'randomPlusMinus': {
        const spread = i.fn === 'randomFactor' ? i.factor : (i as unknown as { jitter: number }).jitter / i.delay;
        const at = async (u: number): Promise<number> =>
          Math.trunc((await last({ delay: i.delay, jitter: 'proportional', spread, maxDelay: Infinity }, 1, [u])).delay);
        // These count their chance from the top.
        const down = i.fn === 'randomPlusMinus' || i.upFirst;
        return { min: await at(0), max: await at(1), delay: await at(down ? 1 - i.random : i.random) };
      }
      case 'smithyTimings':
        return await smithy(i);
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

function sequence({
  kind,
  list,
  initialMs,
  stepMs,
  factor,
  factorMs,
  maxMs: maxDelay = Infinity,
}: Input['config']): BackoffOptions | ((n: number) => number) {
  if (kind === 'list') return { delays: list, jitter: 'none' };
  if (kind === 'linear') return (n) => initialMs + stepMs * (n - 1);
  if (kind === 'urllib3') return { delay: 2 * factorMs, maxDelay, jitter: 'none', firstRetryFast: true };
  return { delay: initialMs, factor, maxDelay, jitter: 'none' };
}

/** Delays of the kind of error that went before, and what is left of a quota of 500. */
async function smithy({ generation, errors }: Input): Promise<object> {
  const [transient, throttling, cost] = generation === 'v1' ? [100, 500, 10] : [50, 1000, 14];
  const budget = retryBudget({ kind: 'tokens', cost, throttledCost: 5, refillPerSecond: 0 });
  const clock = new VirtualClock();
  const delays: number[] = [];
  const costs: number[] = [];
  const steady = pipeline(
    [
      retry({
        maxAttempts: errors.length + 1,
        budget,
        classify: (outcome) => ({ throttled: !outcome.ok && (outcome.error as Error).message === 'THROTTLING' }),
        delayFor: (_outcome, { attempt }) =>
          Math.min(20_000, (errors[attempt - 1] === 'THROTTLING' ? throttling : transient) * 2 ** (attempt - 1)),
      }),
    ],
    { clock },
  );
  let before = budget.balance;
  steady.on('retry.scheduled', ({ delay }) => {
    delays.push(delay);
    costs.push(before - budget.balance);
    before = budget.balance;
  });
  const done = steady.execute(({ attempt }) => Promise.reject(new Error(errors[attempt - 1] ?? 'last'))).catch(() => undefined);
  await clock.runAll();
  await done;
  return { delays, costs, capacityLeft: budget.balance };
}

/** Schedules of other libraries that this one does not offer by name (a function as `backoff` makes any of them). */
const declined: Readonly<Record<string, string>> = {
  envoyLowerBound: 'Envoy: jitter above a lower bound',
  between: 'a random delay between two bounds',
  grpcA6: 'gRPC: jitter may exceed the cap; ours never does',
  cubicSuccess: 'client-side rate control, not a backoff: replayed in cubic.test.ts',
};
const otherSequences = new Set(['envoyFullJitter']);

test('third-party vectors 18: backoff', async () => {
  const file = JSON.parse(readFileSync(new URL('18-backoff.json', import.meta.url), 'utf8')) as VectorFile<Input>;
  const offered = file.cases.filter(
    ({ in: input }) => !(input.fn in declined) && !(input.fn === 'sequence' && otherSequences.has(input.config.kind)),
  );
  const result = await replay({ ...file, cases: offered }, adapter, { has: () => true });
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(55);
});
