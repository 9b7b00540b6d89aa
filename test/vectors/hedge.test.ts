import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Call, type HedgeOptions, hedge, pipeline } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { replay } from './replay.mjs';

interface Config {
  readonly delayMs: number;
  readonly maxHedges: number;
  readonly hedgeOnFailure?: boolean;
  readonly retryable?: boolean;
}

interface Run {
  readonly afterMs: number;
  readonly ok?: unknown;
  readonly fail?: string;
  readonly pushbackMs?: number;
}

interface Input {
  readonly fn: string;
  readonly attempts: readonly Run[];
  readonly maxExtraLoad: number;
  readonly max: number;
}

/** A failure of the work; `fatal` ones would come again. */
class ScriptedError extends Error {
  readonly retryAfter: number | undefined;

  constructor({ fail, pushbackMs }: Run) {
    super(fail);
    this.retryAfter = pushbackMs;
  }
}

async function hedged({ delayMs, maxHedges, hedgeOnFailure = true, retryable = true }: Config, runs: readonly Run[]): Promise<object> {
  const clock = new VirtualClock();
  const options: HedgeOptions = {
    delay: delayMs,
    maxHedges,
    classify: ({ ok, error }: { ok: boolean; error?: unknown }) =>
      ok ? undefined : { verdict: 'failure', retryable: hedgeOnFailure && (error as Error).message !== 'fatal' },
  };
  const started: number[] = [];
  const ended = new Set<number>();
  const calls: Call[] = [];
  const guarded = pipeline([hedge(options)], { clock });
  let doneAt = Number.NaN;
  const work = async (call: Call): Promise<unknown> => {
    const number = started.push(clock.now()) - 1;
    calls.push(call);
    const run = runs[number] as Run;
    await new Promise<void>((resolve) => void clock.setTimeout(resolve, run.afterMs));
    if (Number.isNaN(doneAt)) ended.add(number);
    if (run.fail !== undefined) throw new ScriptedError(run);
    return { value: run.ok, number };
  };
  const outcome = await clock.until(
    guarded.executeOutcome(work, { idempotent: retryable }).then((settled) => {
      doneAt = clock.now();
      return settled;
    }),
  );
  await clock.runAll();
  expect(clock.pending).toBe(0);
  const cancelled = calls.flatMap((call, i) => (call.signal.aborted && !ended.has(i) ? [i] : []));
  if (!outcome.ok) return { started, doneAt, cancelled, error: (outcome.error as Error).message };
  const { value, number } = outcome.value as { value: unknown; number: number };
  return { started, doneAt, cancelled, value, winner: number };
}

test('hedging as failsafe-go, Finagle and the gRPC proposal A6 have it', async () => {
  const file = JSON.parse(readFileSync(new URL('30-hedge.json', import.meta.url), 'utf8')) as object;
  const adapter = {
    fn: ({ fn, attempts, maxExtraLoad, max }: Input, { config }: { config: Config }) => {
      if (fn === 'hedge') return hedged(config, attempts);
      if (fn === 'construct') return { ok: hedge({ delay: { maxExtraLoad } }).describe()['maxHedges'] === 1 };
      return { attempts: 1 + (hedge({ maxHedges: max - 1 }).describe()['maxHedges'] as number) };
    },
  };
  const result = await replay(file, adapter, { has: () => true });
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(17);
});
