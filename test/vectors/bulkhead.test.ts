import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Admission, BulkheadFullError, type Call, QueueTimeoutError, bulkhead, pipeline } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { replay } from './replay.mjs';

interface Config {
  readonly limit: number;
  readonly queue?: number;
  /** Guaranteed shares by name. */
  readonly shares?: Readonly<Record<string, number>>;
  readonly queueTimeoutMs?: number;
}

interface Step {
  readonly at?: number;
  readonly op: 'state' | 'enter' | 'end' | 'abort' | 'setLimit' | 'tick' | 'acquire' | 'release';
  readonly key?: string;
  readonly as?: number;
  readonly ref?: number;
  readonly how?: 'throwSync' | 'throwAsync' | 'reject';
  readonly limit?: number;
  readonly ms?: number;
}

interface Visit {
  readonly id: number;
  readonly caller: AbortController;
  end: (how: Step['how']) => void;
  settled: unknown;
}

/** One bulkhead, its clock and its calls. */
class Replica {
  readonly #clock = new VirtualClock();
  readonly #slots;
  readonly #pipeline;
  readonly #queue: number;
  #limit: number;
  readonly #visits = new Map<number, Visit>();
  /** Works that began, in order. */
  readonly #started: number[] = [];

  /** What is held of each partition. */
  readonly #held = new Map<string | undefined, Admission[]>();

  constructor({ limit, queue = 0, queueTimeoutMs, shares }: Config) {
    this.#slots = bulkhead({
      maxConcurrent: limit,
      maxQueue: queue,
      ...(queueTimeoutMs !== undefined && { maxWait: queueTimeoutMs }),
      ...(shares !== undefined && { partitions: shares, partitionBy: ({ key }: Call) => key }),
    });
    this.#pipeline = pipeline([this.#slots], { clock: this.#clock });
    this.#limit = limit;
    this.#queue = queue;
  }

  async step(step: Step): Promise<object> {
    await this.#clock.advance(Math.max(0, (step.at ?? this.#clock.now()) - this.#clock.now()));
    switch (step.op) {
      case 'enter':
        return await this.#enter(step.as as number, step.how);
      case 'end': {
        const before = this.#started.length;
        this.#visit(step).end(step.how);
        await this.#clock.advance(0);
        return { started: this.#started.slice(before) };
      }
      case 'abort':
        this.#visit(step).caller.abort();
        await this.#clock.advance(0);
        return { settled: this.#visit(step).settled };
      case 'setLimit':
        this.#slots.resize((this.#limit = step.limit as number));
        return {};
      case 'tick': {
        const waiting = [...this.#visits.values()].filter(({ settled }) => settled === undefined);
        await this.#clock.advance(step.ms as number);
        return { timedOut: waiting.filter(({ settled }) => settled === 'timeout').map(({ id }) => id) };
      }
      case 'acquire': {
        const admission = this.#pipeline.tryAcquire({ key: step.key });
        if (admission.admitted) this.#held.set(step.key, [...(this.#held.get(step.key) ?? []), admission]);
        return { ok: admission.admitted };
      }
      case 'release':
        this.#held.get(step.key)?.pop()?.success();
        return {};
      case 'state': {
        const { active, queued } = this.#slots;
        return { free: this.#limit - active, queueFree: this.#queue - queued, running: active };
      }
    }
  }

  async #enter(id: number, how: Step['how']): Promise<object> {
    const visit: Visit = { id, caller: new AbortController(), end: () => undefined, settled: undefined };
    this.#visits.set(id, visit);
    const work = (): Promise<void> => {
      this.#started.push(id);
      if (how === 'throwSync') throw new Error('at once');
      return new Promise((resolve, reject) => {
        visit.end = (ending) => (ending === undefined ? resolve() : reject(new Error(ending)));
      });
    };
    const done = this.#pipeline.executeOutcome(work, { signal: visit.caller.signal });
    const queued = this.#slots.queued;
    void done.then((outcome) => (visit.settled = outcome.ok ? 'value' : word(outcome.error)));
    await this.#clock.advance(0);
    if (visit.settled === 'refused') return { r: 'reject' };
    return { r: this.#started.includes(id) ? 'run' : queued > 0 ? 'queue' : 'lost', settled: visit.settled };
  }

  #visit({ ref }: Step): Visit {
    return this.#visits.get(ref as number) as Visit;
  }

  /** Ends all calls; nothing may be left. */
  async dispose(): Promise<void> {
    this.#slots.resize(this.#visits.size);
    for (let i = 0; i < 2; i++) {
      for (const { end } of this.#visits.values()) end(undefined);
      await this.#clock.advance(0);
    }
    for (const admission of [...this.#held.values()].flat()) admission.success();
    expect([this.#slots.active, this.#slots.queued, this.#clock.pending]).toEqual([0, 0, 0]);
  }
}

function word(error: unknown): string {
  if (error instanceof BulkheadFullError) return 'refused';
  return error instanceof QueueTimeoutError ? 'timeout' : 'error';
}

/** Shares in slots, as a bulkhead tells them. */
function partitionLimits({ limit, shares }: Required<Pick<Config, 'limit' | 'shares'>>): object {
  const slots = bulkhead({ maxConcurrent: 1, partitions: shares, partitionBy: ({ key }) => key });
  slots.resize(limit);
  return Object.fromEntries(Object.entries(slots.snapshot().partitions ?? {}).map(([name, partition]) => [name, partition.limit]));
}

test('third-party vectors 15: bulkhead (B1, B2, B3)', async () => {
  const file = JSON.parse(readFileSync(new URL('15-bulkhead.json', import.meta.url), 'utf8')) as object;
  const made: Replica[] = [];
  const adapter = {
    make: (config: Config): Replica => {
      const replica = new Replica(config);
      made.push(replica);
      return replica;
    },
    fn: partitionLimits,
  };
  const result = await replay(file, adapter);
  for (const replica of made) await replica.dispose();
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(8);
});
