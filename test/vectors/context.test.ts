import { AsyncResource } from 'node:async_hooks';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Call, type CallOptions, pipeline, retry, timeout } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { parseBaggage, writeBaggage } from '../../src/fields/baggage.ts';
import { parseGrpcTimeout } from '../../src/fields/deadline.ts';
import { type VectorFile, replay } from './replay.mjs';

interface Input {
  readonly fn: string;
  readonly header: string;
  readonly members: number;
  readonly member: string;
  readonly key: string;
  readonly valueRepeat: readonly [text: string, times: number];
  readonly value: string;
}

interface Step {
  readonly at: number;
  readonly op: string;
  readonly budgetMs: number;
  readonly timeoutMs: number;
  readonly delayMs: number;
}

/** A call under way, calls in its work, and what is left to the innermost. */
class Chain {
  readonly clock = new VirtualClock();
  readonly #over = new AbortController();
  /** The work that runs now, from the outermost to the innermost. */
  #inside = new AsyncResource('nobody');
  #call: Call | undefined;

  async step({ at, op, budgetMs, timeoutMs, delayMs }: Step): Promise<object> {
    await this.clock.advance(at - this.clock.now());
    const result = this.#do(op, { budgetMs, timeoutMs, delayMs });
    await this.clock.advance(0);
    return result();
  }

  async end(): Promise<number> {
    this.#over.abort('over');
    await this.clock.advance(0);
    return this.clock.pending;
  }

  #do(op: string, { budgetMs, timeoutMs, delayMs }: Pick<Step, 'budgetMs' | 'timeoutMs' | 'delayMs'>): () => object {
    switch (op) {
      case 'start':
      case 'nest':
        this.#run(budgetMs);
        return () => ({});
      case 'left':
        return () => left(this.#call);
      case 'inner': {
        let inner: Call | undefined;
        const bounded = pipeline([timeout({ after: timeoutMs })], { clock: this.clock });
        this.#within((options) => bounded.execute((call) => void (inner = call), options));
        return () => left(inner);
      }
      case 'retryIn': {
        let scheduled = false;
        const again = pipeline([retry({ maxAttempts: 2, backoff: { delay: delayMs, maxDelay: Infinity, jitter: 'none' } })], {
          clock: this.clock,
        });
        again.on('retry.scheduled', () => (scheduled = true));
        this.#within((options) => again.execute(() => Promise.reject(new Error('busy')), options));
        return () => ({ scheduled });
      }
      default:
        throw new Error(`no such operation: ${op}`);
    }
  }

  /** A call that lasts until the case is over, made in the work of the one before. */
  #run(deadline: number): void {
    const tracked = pipeline([], { clock: this.clock, track: true });
    this.#within((options) =>
      tracked.execute(
        (call) => {
          this.#call = call;
          this.#inside = new AsyncResource('work');
          return new Promise(() => undefined);
        },
        { deadline, ...options },
      ),
    );
  }

  #within(execute: (options: CallOptions) => Promise<unknown>): void {
    // A call that is over binds nothing that its work still does: such work has to say by itself that no time is left.
    const options = { signal: this.#over.signal, ...(this.#call?.remaining() === 0 && { deadline: 0 }) };
    this.#inside.runInAsyncScope(() => void execute(options).catch(() => undefined));
  }
}

/** A call that was not even begun had no time. */
function left(call: Call | undefined): object {
  const ms = call?.remaining() ?? 0;
  return { ms, expired: ms === 0 };
}

const chains: Chain[] = [];

const adapter = {
  make(): Chain {
    const chain = new Chain();
    chains.push(chain);
    return chain;
  },
  fn(i: Input): object {
    switch (i.fn) {
      case 'parseBaggage':
        return {
          entries: parseBaggage(i.header).map(({ key, value, properties }) => ({
            ...{ key, value },
            props: properties.map((property) => [property.key, property.value ?? null]),
          })),
        };
      case 'serializeCount': {
        const [key = '', value = ''] = i.member.split('=');
        const text = writeBaggage(Array.from({ length: i.members }, () => ({ key, value })));
        return { members: text?.split(',').length };
      }
      case 'serializeLength':
        return { bytes: writeBaggage([{ key: i.key, value: i.valueRepeat[0].repeat(i.valueRepeat[1]) }])?.length };
      case 'decodeTimeout': {
        const ms = parseGrpcTimeout(i.value);
        return ms === undefined ? { invalid: true } : { ms };
      }
      default:
        throw new Error(`not offered: ${i.fn}`);
    }
  },
};

test('third-party vectors 23: baggage, gRPC timeouts, and deadlines that calls inherit', async () => {
  const file = JSON.parse(readFileSync(new URL('23-baggage-deadline.json', import.meta.url), 'utf8')) as VectorFile<Input>;
  const result = await replay(file, adapter);
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(file.cases.length);
  for (const chain of chains) expect(await chain.end()).toBe(0);
});

test('deadlines within deadlines: a timeout has no more than is left, and nothing when nothing is left', async () => {
  const steps = [
    { at: 0, op: 'start', budgetMs: 1000 },
    { at: 400, op: 'inner', timeoutMs: 5000, expect: { ms: 600 } },
    { at: 400, op: 'inner', timeoutMs: 200, expect: { ms: 200 } },
    { at: 500, op: 'nest', budgetMs: 300 },
    { at: 600, op: 'inner', timeoutMs: 5000, expect: { ms: 200 } },
    { at: 600, op: 'retryIn', delayMs: 200, expect: { scheduled: false } },
    { at: 1000, op: 'inner', timeoutMs: 10, expect: { ms: 0, expired: true } },
    { at: 1000, op: 'retryIn', delayMs: 0, expect: { scheduled: false } },
    { at: 1000, op: 'nest', budgetMs: 200 },
    { at: 1000, op: 'left', expect: { ms: 0, expired: true } },
  ];
  const result = await replay({ id: 'own', cases: [{ name: 'own', config: {}, steps }] }, adapter);
  expect(result.failures).toEqual([]);
  expect(result.checks).toBe(9);
});
