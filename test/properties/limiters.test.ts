import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type GatePolicy, type Pipeline, definePolicy, pipeline, refuse } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { leakyBucket } from '../../src/policies/leaky-bucket.ts';
import { perKey } from '../../src/policies/per-key.ts';
import { type TokenBucket, tokenBucket } from '../../src/policies/token-bucket.ts';

/** Something happens to a limiter. */
type Command =
  | { readonly do: 'come'; readonly cost: number; readonly deadline: number | undefined }
  | { readonly do: 'try'; readonly cost: number }
  | { readonly do: 'turned away further in'; readonly cost: number }
  | { readonly do: 'abort'; readonly which: number }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'stall'; readonly ms: number };

const cost = fc.constantFrom(0.5, 1, 1, 1, 2, 3.3);
const commands = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('come' as const), cost, deadline: fc.option(fc.integer({ min: 1, max: 600 }), { nil: undefined }) }),
    fc.record({ do: fc.constant('try' as const), cost }),
    fc.record({ do: fc.constant('turned away further in' as const), cost }),
    fc.record({ do: fc.constant('abort' as const), which: fc.nat(20) }),
    fc.record({ do: fc.constant('pass' as const), ms: fc.oneof(fc.nat(300), fc.double({ min: 0, max: 50, noNaN: true })) }),
    fc.record({ do: fc.constant('stall' as const), ms: fc.nat(900) }),
  ),
  { minLength: 5, maxLength: 60 },
);

/** Lets everything through but calls that are tagged otherwise. */
const doorkeeper = (): GatePolicy =>
  definePolicy({
    kind: 'doorkeeper',
    gate: { enter: ({ tags }) => (tags['away'] === true ? refuse(new Error('away')) : 'pass'), settle() {}, cancel() {} },
  });

/** A limiter under any load, watched. */
class Watched {
  readonly clock = new VirtualClock();
  /** When how much was let in. */
  readonly admitted: { readonly at: number; readonly cost: number }[] = [];
  /** Numbers of those who waited, in the order in which they got in. */
  readonly order: number[] = [];
  readonly #pipeline: Pipeline;
  readonly #callers: AbortController[] = [];
  #came = 0;

  constructor(limiter: GatePolicy) {
    this.#pipeline = pipeline([limiter, doorkeeper()], { clock: this.clock });
  }

  async run(list: readonly Command[]): Promise<void> {
    for (const command of list) await this.#do(command);
    for (const caller of this.#callers) caller.abort();
    await this.clock.runAll();
    expect(this.clock.pending).toBe(0);
  }

  async #do(command: Command): Promise<void> {
    switch (command.do) {
      case 'come': {
        const number = this.#came++;
        const caller = new AbortController();
        this.#callers.push(caller);
        const { deadline } = command;
        const options = { signal: caller.signal, tags: { cost: command.cost }, ...(deadline !== undefined && { deadline }) };
        void this.#pipeline.executeOutcome(() => {
          this.order.push(number);
          this.#note(command.cost);
        }, options);
        break;
      }
      case 'try': {
        const answer = this.#pipeline.tryAcquire({ tags: { cost: command.cost } });
        if (answer.admitted) {
          this.#note(command.cost);
          answer.success();
        }
        break;
      }
      case 'turned away further in':
        expect(this.#pipeline.tryAcquire({ tags: { cost: command.cost, away: true } }).admitted).toBe(false);
        break;
      case 'abort':
        this.#callers[command.which]?.abort();
        break;
      case 'pass':
        await this.clock.advance(command.ms);
        break;
      case 'stall':
        await this.clock.stall(command.ms);
    }
    await this.clock.advance(0);
  }

  #note(cost: number): void {
    this.admitted.push({ at: this.clock.now(), cost });
  }

  /** The most that was let in beyond what the rate allows, over all windows. */
  excess(perMs: number): number {
    let most = 0;
    for (const [i, { at: from }] of this.admitted.entries()) {
      let sum = 0;
      for (const { at, cost } of this.admitted.slice(i)) {
        sum += cost;
        most = Math.max(most, sum - (at - from) * perMs);
      }
    }
    return most;
  }
}

const tagged = ({ tags }: { readonly tags: Readonly<Record<string, unknown>> }): number => Number(tags['cost'] ?? 1);

describe('a token bucket', () => {
  const setting = fc.record({
    rate: fc.constantFrom(1, 3, 10, 1000 / 3),
    burst: fc.constantFrom(1, 2, 3.5, 10),
    maxWait: fc.constantFrom(0, 100, 1000, Infinity),
  });

  test('never lets in more than the burst and what the rate allows, in any window, whatever happens (L1, L2)', async () => {
    await fc.assert(
      fc.asyncProperty(setting, commands, async ({ rate, burst, maxWait }, list) => {
        const bucket = tokenBucket({ rate, burst, maxWait, cost: tagged });
        const watched = new Watched(bucket);
        await watched.run(list);
        // Those who waited may get in late by what timers are late: 20 ms at most.
        const late = maxWait > 0 ? (20 * rate) / 1000 : 0;
        expect(watched.excess(rate / 1000)).toBeLessThanOrEqual(burst + late + 1e-6);
        expect(watched.order).toEqual(watched.order.toSorted((a, b) => a - b));
        expect([bucket.waiting, bucket.available >= 0, bucket.available <= burst]).toEqual([0, true, true]);
        await watched.clock.advance((burst / rate) * 1000 + 30);
        expect(bucket.atRest(watched.clock.now())).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test('never lets in more than the larger of the settings it had, however often they change (L8)', async () => {
    const change = fc.record({ rate: fc.constantFrom(1, 5, 20), burst: fc.constantFrom(1, 2, 8) });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(change, commands), { minLength: 1, maxLength: 4 }), async (rounds) => {
        const bucket = tokenBucket({ rate: 5, burst: 2, maxWait: 500, cost: tagged });
        const watched = new Watched(bucket);
        for (const [limit, list] of rounds) {
          bucket.update(limit);
          await watched.run(list);
        }
        const rate = Math.max(5, ...rounds.map(([limit]) => limit.rate));
        const burst = Math.max(2, ...rounds.map(([limit]) => limit.burst));
        expect(watched.excess(rate / 1000)).toBeLessThanOrEqual(burst + (20 * rate) / 1000 + 1e-6);
      }),
      { numRuns: 100 },
    );
  });

  test('what it does not let in leaves no trace: calls that give up or are turned away might as well not have come (L3, L6)', async () => {
    await fc.assert(
      fc.asyncProperty(setting, commands, async ({ rate, burst }, list) => {
        const make = (): TokenBucket => tokenBucket({ rate, burst, cost: tagged });
        const [bucket, other] = [make(), make()];
        const [watched, calm] = [new Watched(bucket), new Watched(other)];
        await watched.run(list);
        await calm.run(list.filter((command) => command.do !== 'turned away further in' && command.do !== 'abort'));
        expect(watched.admitted).toEqual(calm.admitted);
        expect(bucket.available).toBeCloseTo(other.available, 9);
      }),
      { numRuns: 100 },
    );
  });

  test('a call at the time it was told gets in, if nobody else came; a millisecond earlier it does not (L4)', async () => {
    const rates = fc.double({ min: 0.001, max: 900, noNaN: true });
    await fc.assert(
      fc.asyncProperty(
        rates,
        fc.array(fc.double({ min: 0, max: 5000, noNaN: true }), { minLength: 1, maxLength: 20 }),
        async (rate, pauses) => {
          const clock = new VirtualClock({ start: 123_456.789 });
          const p = pipeline([tokenBucket({ rate, burst: 2 })], { clock });
          for (const ms of pauses) {
            await clock.advance(ms);
            for (let answer = p.tryAcquire(); ; answer = p.tryAcquire()) {
              if (answer.admitted) continue;
              const wait = answer.retryAfter as number;
              if (wait > 1) {
                await clock.advance(wait - 1);
                expect(p.tryAcquire().admitted).toBe(false);
              }
              await clock.advance(Math.min(wait, 1));
              break;
            }
            expect(p.tryAcquire().admitted).toBe(true);
          }
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe('a leaky bucket', () => {
  test('calls leave no closer together than the rate allows, whatever happens, and in the order they came', async () => {
    const setting = fc.record({ rate: fc.constantFrom(2, 10, 125), maxQueueTime: fc.constantFrom(0, 100, 2000) });
    await fc.assert(
      fc.asyncProperty(setting, commands, async ({ rate, maxQueueTime }, list) => {
        const bucket = leakyBucket({ rate, maxQueueTime });
        const watched = new Watched(bucket);
        await watched.run(list.map((command) => ('cost' in command ? { ...command, cost: 1 } : command)));
        expect(watched.excess(rate / 1000)).toBeLessThanOrEqual(1 + (20 * rate) / 1000 + 1e-6);
        expect(watched.order).toEqual(watched.order.toSorted((a, b) => a - b));
        expect(bucket.waiting).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  test('without a stall the spacing is exact, to the millisecond that timers have', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 400 }), fc.array(fc.nat(40), { minLength: 1, maxLength: 40 }), async (rate, gaps) => {
        const clock = new VirtualClock();
        const p = pipeline([leakyBucket({ rate, maxQueueTime: Infinity, burst: 1000 })], { clock });
        const left: number[] = [];
        for (const gap of gaps) {
          void p.execute(() => left.push(clock.now()));
          await clock.advance(gap);
        }
        await clock.runAll();
        expect(left).toHaveLength(gaps.length);
        for (let i = 1; i < left.length; i++) expect((left[i] as number) - (left[i - 1] as number)).toBeGreaterThan(1000 / rate - 1 - 1e-6);
        for (let i = 0; i < left.length; i++)
          expect((left.at(-1) as number) - (left[i] as number)).toBeGreaterThan(((left.length - 1 - i) * 1000) / rate - 1 - 1e-6);
      }),
      { numRuns: 100 },
    );
  });
});

describe('policies per key', () => {
  const keys = fc.constantFrom('a', 'b', '__proto__', '', 'k'.repeat(300));

  test('keys never affect each other: each is let in as if it were alone (L5)', async () => {
    const happening = fc.record({ key: keys, ms: fc.nat(80) });
    await fc.assert(
      fc.asyncProperty(fc.array(happening, { maxLength: 60 }), async (list) => {
        const answers = async (events: readonly { readonly key: string; readonly at: number }[]): Promise<Map<string, boolean[]>> => {
          const clock = new VirtualClock();
          const p = pipeline([perKey(() => tokenBucket({ rate: 10, burst: 2 }))], { clock });
          const found = new Map<string, boolean[]>();
          for (const { key, at } of events) {
            await clock.advance(at - clock.now());
            found.set(key, [...(found.get(key) ?? []), p.tryAcquire({ key }).admitted]);
          }
          return found;
        };
        let at = 0;
        const events = list.map(({ key, ms }) => ({ key, at: (at += ms) }));
        const together = await answers(events);
        for (const [key, alone] of together) expect((await answers(events.filter((event) => event.key === key))).get(key)).toEqual(alone);
      }),
      { numRuns: 50 },
    );
  });

  test('never more than `max` keys have their own, and no key ever gets more than its limit, whatever comes and goes (L1, 9.2)', async () => {
    const happening = fc.record({ key: fc.nat(30), ms: fc.oneof(fc.constant(0), fc.nat(60)), times: fc.integer({ min: 1, max: 4 }) });
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 8 }), fc.array(happening, { maxLength: 120 }), async (max, list) => {
        const clock = new VirtualClock();
        const limits = perKey(() => tokenBucket({ rate: 10, burst: 2 }), { max, idle: 100 });
        const p = pipeline([limits], { clock });
        const admitted = new Map<string, number[]>();
        for (const { key, ms, times } of list) {
          await clock.advance(ms);
          for (let i = 0; i < times; i++) {
            const answer = p.tryAcquire({ key: `k${key}` });
            if (!answer.admitted) continue;
            answer.success();
            admitted.set(`k${key}`, [...(admitted.get(`k${key}`) ?? []), clock.now()]);
          }
          expect(limits.size).toBeLessThanOrEqual(max);
          expect(limits.snapshot()['shared']).toBeLessThanOrEqual(max);
        }
        for (const times of admitted.values())
          for (const [i, from] of times.entries())
            for (const [j, at] of times.slice(i).entries()) expect(j + 1 - ((at - from) * 10) / 1000).toBeLessThanOrEqual(2 + 1e-9);
      }),
      { numRuns: 100 },
    );
  });
});
