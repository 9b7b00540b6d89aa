import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Bulkhead, type Pipeline, type Policy, bulkhead, pipeline, timeout } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

/** How work ends: at once, later, never by itself (until it is told to at the very end), with or without an error. */
type Ending = 'value' | 'throw' | 'resolve' | 'reject' | 'hang';

type Command =
  | { readonly do: 'come'; readonly ending: Ending; readonly lasts: number; readonly deadline: number | undefined }
  | { readonly do: 'abort'; readonly which: number }
  | { readonly do: 'end'; readonly which: number }
  | { readonly do: 'resize'; readonly limit: number }
  | { readonly do: 'advance'; readonly ms: number };

interface Visit {
  readonly id: number;
  readonly caller: AbortController;
  /** Whether it got in without a wait. */
  atOnce: boolean;
  started: boolean;
  settled: boolean;
  end: () => void;
}

const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('come' as const),
      ending: fc.constantFrom<Ending[]>('value', 'throw', 'resolve', 'reject', 'hang'),
      lasts: fc.integer({ min: 1, max: 60 }),
      deadline: fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('abort' as const), which: fc.nat(40) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('end' as const), which: fc.nat(40) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('resize' as const), limit: fc.nat(4) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.nat(30) }) },
);

const setting = fc.record({
  maxConcurrent: fc.nat(3),
  maxQueue: fc.nat(4),
  maxWait: fc.constantFrom(Infinity, 10, 25),
  inner: fc.option(fc.integer({ min: 1, max: 40 }), { nil: undefined }),
  outer: fc.option(fc.integer({ min: 1, max: 60 }), { nil: undefined }),
});

/** A bulkhead under any load, watched. */
class Harbour {
  readonly clock = new VirtualClock();
  readonly slots: Bulkhead;
  readonly visits: Visit[] = [];
  /** Works that run, abandoned ones too. */
  running = 0;
  limit: number;
  readonly #maxQueue: number;
  readonly #pipeline: Pipeline;
  /** The highest limit since the last look: a slot that was handed over may belong to a call whose work begins a few jobs later. */
  #highest: number;
  /** What should never happen. */
  readonly #wrong: string[] = [];
  /** Calls that waited, in the order in which their work began. */
  readonly #served: number[] = [];

  constructor({ maxConcurrent, maxQueue, maxWait, inner, outer }: typeof setting extends fc.Arbitrary<infer S> ? S : never) {
    this.slots = bulkhead({ maxConcurrent, maxQueue, maxWait });
    this.limit = this.#highest = maxConcurrent;
    this.#maxQueue = maxQueue;
    const around: Policy[] = [this.slots];
    if (outer !== undefined) around.unshift(timeout({ after: outer, name: 'outer' }));
    if (inner !== undefined) around.push(timeout({ after: inner, name: 'inner' }));
    this.#pipeline = pipeline<readonly Policy[]>(around, { clock: this.clock });
  }

  async do(each: Command): Promise<void> {
    if (each.do === 'come') this.#come(each.ending, each.lasts, each.deadline);
    else if (each.do === 'abort') this.visits[each.which]?.caller.abort('left');
    else if (each.do === 'end') this.visits[each.which]?.end();
    else if (each.do === 'advance') await this.clock.advance(each.ms);
    else {
      this.limit = each.limit;
      this.#highest = Math.max(this.#highest, each.limit);
      this.slots.resize(each.limit);
    }
    expect(this.slots.queued).toBeLessThanOrEqual(this.#maxQueue);
    expect(this.slots.queued === 0 || this.slots.active >= this.limit, 'a slot is free while somebody waits').toBe(true);
  }

  /** Lets everything happen that wants to happen now, and compares the books with the calls. */
  async look(): Promise<void> {
    await this.clock.advance(0);
    this.#highest = this.limit;
    expect(this.#wrong).toEqual([]);
    expect(this.slots.active).toBe(this.running);
    expect(this.slots.queued).toBe(this.visits.filter(({ started, settled }) => !started && !settled).length);
    expect(this.#served).toEqual(this.#served.toSorted((a, b) => a - b));
  }

  /** Ends all that is still there; then every slot is back. */
  async empty(): Promise<void> {
    this.slots.resize((this.limit = this.#highest = 3));
    for (let i = 0; i < 100 && this.slots.active + this.slots.queued > 0; i++) {
      for (const visit of this.visits) visit.end();
      await this.look();
    }
    await this.clock.advance('1h');
    expect(this.visits.every(({ settled }) => settled)).toBe(true);
    expect([this.running, this.slots.active, this.slots.queued, this.clock.pending]).toEqual([0, 0, 0, 0]);
    const admissions = Array.from({ length: 4 }, () => pipeline([this.slots]).tryAcquire().admitted);
    expect(admissions).toEqual([true, true, true, false]);
  }

  #come(ending: Ending, lasts: number, deadline: number | undefined): void {
    const visit: Visit = {
      id: this.visits.length,
      caller: new AbortController(),
      atOnce: true,
      started: false,
      settled: false,
      end: nothing,
    };
    this.visits.push(visit);
    const work = (): unknown => {
      this.running++;
      if (this.running > this.#highest) this.#wrong.push(`${visit.id} began as number ${this.running}, with ${this.#highest} slots`);
      if (visit.started || visit.settled) this.#wrong.push(`${visit.id} began twice, or after its call had ended`);
      visit.started = true;
      if (!visit.atOnce) this.#served.push(visit.id);
      if (ending === 'value' || ending === 'throw') {
        this.running--;
        if (ending === 'throw') throw new Error('no');
        return 1;
      }
      return new Promise((resolve, reject) => {
        visit.end = () => {
          visit.end = nothing;
          this.running--;
          if (ending === 'reject') reject(new Error('no'));
          else resolve(1);
        };
        if (ending !== 'hang') this.clock.setTimeout(() => visit.end(), lasts);
      });
    };
    void this.#pipeline
      .executeOutcome<unknown>(work, { signal: visit.caller.signal, ...(deadline !== undefined && { deadline }) })
      .then(() => {
        if (visit.settled) this.#wrong.push(`${visit.id} ended twice`);
        visit.settled = true;
      });
    visit.atOnce = false;
  }
}

const nothing = (): void => undefined;

test('never above its limit, never loses a slot, first come first served, whatever happens in whatever order (B1, B2, B3, B4, B5, B6, G6)', async () => {
  const steps = fc.array(fc.record({ command, look: fc.boolean() }), { maxLength: 50 });
  await fc.assert(
    fc.asyncProperty(setting, steps, async (settings, commands) => {
      const harbour = new Harbour(settings);
      for (const { command: each, look } of commands) {
        await harbour.do(each);
        if (look) await harbour.look();
      }
      await harbour.empty();
    }),
    { numRuns: 300 },
  );
});

test("with releaseOn 'timeout' slots follow the callers' answers, and none is lost either (B2, B6)", async () => {
  const steps = fc.array(command, { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.nat(4), steps, async (maxConcurrent, maxQueue, commands) => {
      const clock = new VirtualClock();
      const slots = bulkhead({ maxConcurrent, maxQueue, releaseOn: 'timeout' });
      const guarded = pipeline([slots, timeout({ after: 20 })], { clock });
      const callers: AbortController[] = [];
      let pending = 0;
      let started = 0;
      let most = 0;
      for (const each of commands) {
        if (each.do === 'come') {
          const caller = new AbortController();
          callers.push(caller);
          pending++;
          const done = guarded.executeOutcome<unknown>(
            () => {
              started++;
              most = Math.max(most, slots.active);
              return new Promise((resolve) => void clock.setTimeout(() => resolve(1), each.lasts));
            },
            { signal: caller.signal },
          );
          void done.then(() => pending--);
        } else if (each.do === 'abort') {
          callers[each.which]?.abort('left');
        } else {
          await clock.advance(each.do === 'advance' ? each.ms : 0);
          expect(slots.active + slots.queued).toBe(pending);
        }
      }
      await clock.advance('1h');
      expect([pending, slots.active, slots.queued, clock.pending]).toEqual([0, 0, 0, 0]);
      expect(most).toBeLessThanOrEqual(maxConcurrent);
      expect(started).toBeLessThanOrEqual(callers.length);
    }),
    { numRuns: 150 },
  );
});

test('fifty thousand in the queue are served in order, in the time a test may take (a walk over all for each would not be)', async () => {
  const slots = bulkhead({ maxConcurrent: 10, maxQueue: 50_000, maxWait: '1h' });
  const guarded = pipeline([slots], { clock: new VirtualClock() });
  const started: number[] = [];
  const calls = Array.from({ length: 50_000 }, (_, id) => guarded.execute(() => Promise.resolve(started.push(id))));
  expect([slots.active, slots.queued]).toEqual([10, 49_990]);
  await Promise.all(calls);
  expect(started.every((id, i) => id === i)).toBe(true);
  expect([slots.active, slots.queued]).toEqual([0, 0]);
});
