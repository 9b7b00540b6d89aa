import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Bulkhead, BulkheadFullError, type BulkheadOptions, type Pipeline, bulkhead, pipeline } from 'breakwater';
import { VirtualClock, seededRandom } from 'breakwater/testing';
import { Fifo } from '../../src/algorithms/fifo.ts';
import { ByKey } from '../../src/algorithms/lines/by-key.ts';
import type { Line, Wants } from '../../src/algorithms/lines/line.ts';
import { Partitions } from '../../src/algorithms/lines/partitions.ts';
import { Ranked } from '../../src/algorithms/lines/ranked.ts';
import { Holder, Slots, Waiter } from '../../src/algorithms/slots.ts';

type Slot = Holder<number, undefined>;
type Waiting = Waiter<number, undefined, never>;

/** Slots that are used at random for very long, with books of their own. */
class Account {
  readonly slots: Slots<Slot, Waiting>;
  readonly partitions: Partitions<Waiting> | undefined;
  readonly running = new Set<Slot>();
  readonly waiting = new Set<Waiting>();
  taken = 0;
  /** The most that may be taken: the limit, and after a resize to less what was taken then. */
  bound: number;
  readonly #random = seededRandom(7);

  constructor(line: () => Line<Waiting>, shares?: ReadonlyMap<string, number>) {
    this.bound = 20;
    this.partitions = shares && new Partitions<Waiting>(shares, 20, line);
    const admit = (waiter: Waiting): boolean => {
      this.waiting.delete(waiter);
      if (this.#random() < 0.1) return false;
      this.#begin(waiter);
      return true;
    };
    this.slots = new Slots<Slot, Waiting>(20, 30, admit, this.partitions ?? line(), this.partitions);
  }

  step(id: number): void {
    const what = this.#random();
    if (what < 0.45) this.#come(id);
    else if (what < 0.85) this.#end();
    else if (what < 0.97) this.#abort();
    else this.#resize();
  }

  #come(id: number): void {
    const wants: Wants = {
      weight: 1 + this.#below(4),
      rank: this.#below(500),
      key: `k${this.#below(5)}`,
      partition: this.partitions?.of(['a', 'b', 'none'][this.#below(3)]),
    };
    const newcomer: Waiting = new Waiter<number, undefined, never>(id, undefined, id, Infinity, () => undefined, wants);
    if (this.slots.take(newcomer)) {
      this.#begin(newcomer);
    } else if (this.slots.hasPlace) {
      this.slots.wait(newcomer);
      this.waiting.add(newcomer);
      this.slots.serve();
    }
  }

  #end(): void {
    const slot = this.#any(this.running);
    if (slot === undefined) return;
    this.running.delete(slot);
    this.taken -= slot.wants?.weight ?? 1;
    this.slots.release(slot);
  }

  #abort(): void {
    const waiter = this.#any(this.waiting);
    if (waiter === undefined) return;
    this.waiting.delete(waiter);
    this.slots.leave(waiter);
  }

  #resize(): void {
    const limit = this.#below(30);
    this.bound = Math.max(limit, this.taken);
    this.slots.resize(limit, (hopeless) => {
      this.waiting.delete(hopeless);
      this.slots.leave(hopeless);
    });
  }

  #begin(slot: Slot): void {
    const { limit, taken } = this.slots;
    const own = slot.wants?.partition;
    if (taken > limit && (own === undefined || own.taken > own.limit))
      expect.fail(`${slot.owner} got in beyond the limit and its own share`);
    this.running.add(slot);
    this.taken += slot.wants?.weight ?? 1;
  }

  #any<T>(set: ReadonlySet<T>): T | undefined {
    let left = this.#below(Math.min(set.size, 8));
    for (const each of set) if (left-- === 0) return each;
    return undefined;
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n);
  }
}

describe('a million comings, endings, aborts and resizes lose no slot and invent none (B1, B2, B3, B5)', () => {
  const shares = new Map([
    ['a', 0.3],
    ['b', 0.5],
  ]);

  test.each<[string, () => Line<Waiting>, ReadonlyMap<string, number>?]>([
    ['first come, first served', () => new Fifo<Waiting>()],
    ['by key and rank', () => new ByKey<Waiting>(() => new Ranked(1000))],
    ['in partitions', () => new Fifo<Waiting>(), shares],
  ])('%s', (_, line, given) => {
    const account = new Account(line, given);
    const { slots, partitions } = account;
    for (let id = 0; id < 350_000; id++) {
      account.step(id);
      if (slots.taken !== account.taken || slots.active !== account.running.size || slots.queued !== account.waiting.size)
        expect.fail(`after ${id} steps the books differ`);
      const { limit, taken, line: waiting } = slots;
      // A heavy call may keep slots free that are too few for it; nobody else waits beside a slot that fits.
      const fits = waiting.next !== undefined && taken + (waiting.next.wants?.weight ?? 1) <= limit;
      if (fits || slots.queued > 30) expect.fail(`after ${id} steps somebody waits who need not`);
      account.bound = Math.max(limit, Math.min(account.bound, taken));
      if (partitions === undefined && taken > account.bound) expect.fail(`after ${id} steps more is taken than there is`);
      if (partitions === undefined) continue;
      for (const { limit: share, taken: own, name } of [...partitions.all, partitions.rest]) {
        const head = [...account.waiting].find((each) => each.wants?.partition?.name === name);
        if (head !== undefined && own + (head.wants?.weight ?? 1) <= share)
          expect.fail(`after ${id} steps ${name} waits for its own share (B8)`);
      }
    }
    for (let i = 0; i < 5000 && account.running.size + account.waiting.size > 0; i++) {
      for (const slot of account.running) {
        account.running.delete(slot);
        account.taken -= slot.wants?.weight ?? 1;
        slots.release(slot);
        break;
      }
      if (account.running.size === 0) slots.resize(20);
    }
    expect([slots.taken, slots.active, slots.queued]).toEqual([0, 0, 0]);
    expect([0, 1, 2, 3, 4].map((key) => slots.ofKey(`k${key}`))).toEqual([0, 0, 0, 0, 0]);
    expect(partitions?.all.map(({ taken, waiting }) => [taken, waiting]) ?? []).toEqual(
      partitions === undefined
        ? []
        : [
            [0, 0],
            [0, 0],
          ],
    );
  });
});

interface Visit {
  readonly rank: number;
  readonly caller: AbortController;
  state: 'waiting' | 'running' | 'evicted' | 'refused' | 'over';
  end: () => void;
}

/** Calls of all ranks at a bulkhead. */
class Door {
  readonly clock = new VirtualClock();
  readonly slots: Bulkhead;
  readonly visits: Visit[] = [];
  readonly #pipeline: Pipeline;

  constructor(options: BulkheadOptions) {
    this.slots = bulkhead(options);
    this.#pipeline = pipeline([this.slots], { clock: this.clock });
  }

  come(rank: number, key: string): Visit {
    const visit: Visit = { rank, caller: new AbortController(), state: 'waiting', end: () => undefined };
    const { evicted } = this.slots.snapshot();
    const work = (): Promise<void> =>
      new Promise((resolve) => {
        visit.state = 'running';
        visit.end = resolve;
      });
    void this.#pipeline
      .executeOutcome(work, { tags: { rank, weight: 1 + (rank % 3) }, key, signal: visit.caller.signal })
      .then((outcome) => {
        const turnedAway = !outcome.ok && outcome.error instanceof BulkheadFullError;
        visit.state = !turnedAway ? 'over' : outcome.error.message.includes('gave the call') ? 'evicted' : 'refused';
      });
    expect(this.slots.snapshot().evicted - evicted).toBeLessThanOrEqual(1);
    this.visits.push(visit);
    return visit;
  }

  of(state: Visit['state']): readonly Visit[] {
    return this.visits.filter((visit) => visit.state === state);
  }
}

const steps = fc.array(
  fc.record({
    what: fc.constantFrom<('come' | 'end' | 'abort')[]>('come', 'come', 'come', 'end', 'abort'),
    rank: fc.nat(5),
    key: fc.constantFrom('a', 'b', '__proto__'),
    which: fc.nat(20),
  }),
  { maxLength: 60 },
);

test('where the lowest are evicted, nobody is refused while somebody of a lower rank waits (A5)', async () => {
  await fc.assert(
    fc.asyncProperty(fc.boolean(), steps, async (byKey, all) => {
      const door = new Door({
        maxConcurrent: 2,
        maxQueue: 3,
        priority: ({ tags }) => Number(tags['rank']),
        whenFull: 'evict-lowest',
        ...(byKey && { fairBy: ({ key }) => key }),
      });
      for (const { what, rank, key, which } of all) {
        const waiting = door.of('waiting');
        if (what === 'come') {
          const visit = door.come(rank, key);
          await door.clock.advance(0);
          const lowest = Math.min(...waiting.map((each) => each.rank));
          if (visit.state === 'refused') expect(lowest).toBeGreaterThanOrEqual(rank);
          const gone = waiting.filter(({ state }) => state === 'evicted');
          for (const each of gone) expect([each.rank, each.rank < rank]).toEqual([lowest, true]);
        } else if (what === 'end') {
          door.of('running')[which % 2]?.end();
        } else {
          waiting[which % 3]?.caller.abort();
        }
        await door.clock.advance(0);
        expect(door.slots.snapshot()).toMatchObject({ active: door.of('running').length, queued: door.of('waiting').length });
      }
    }),
    { numRuns: 150 },
  );
});

test.each<[string, Partial<BulkheadOptions>]>([
  ['lifo', { queue: 'lifo' }],
  ['adaptive-lifo', { queue: 'adaptive-lifo' }],
  ['codel', { queue: 'codel' }],
  ['codel by the RFC', { queue: { kind: 'codel', law: 'rfc8289', interval: 30 } }],
  ['priority', { priority: ({ tags }) => Number(tags['rank']), aging: '10ms' }],
  ['fairBy', { fairBy: ({ key }) => key, maxPerKey: 4 }],
  ['weight', { weight: ({ tags }) => Number(tags['weight']) }],
  ['partitions', { partitions: { a: 0.4, b: 0.4 }, partitionBy: ({ key }) => key }],
  [
    'all at once',
    {
      priority: true,
      whenFull: 'evict-lowest',
      fairBy: ({ key }) => key,
      weight: 2,
      partitions: { a: 0.4 },
      partitionBy: ({ key }) => key,
      shed: true,
    },
  ],
])('with %s, too, every call ends once and every slot comes back, whatever happens (B2, G1, G4)', async (_, options) => {
  const ways = fc.array(
    fc.record({
      step: fc.integer({ min: 0, max: 9 }),
      rank: fc.nat(5),
      key: fc.constantFrom('a', 'b', 'c'),
      which: fc.nat(20),
      ms: fc.nat(30),
    }),
    {
      maxLength: 50,
    },
  );
  await fc.assert(
    fc.asyncProperty(ways, async (all) => {
      const door = new Door({ maxConcurrent: 3, maxQueue: 6, maxWait: 60, ...options });
      for (const { step, rank, key, which, ms } of all) {
        if (step < 5) door.come(rank, key);
        else if (step < 7) door.of('running')[which % 4]?.end();
        else if (step === 7) door.of('waiting')[which % 6]?.caller.abort();
        else if (step === 8) door.slots.resize(which % 5);
        else await door.clock.advance(ms);
        expect(door.slots.queued).toBeLessThanOrEqual(6);
        expect(door.slots.snapshot().taken).toBeGreaterThanOrEqual(door.slots.active);
      }
      await door.clock.advance(0);
      expect(door.slots.active).toBe(door.of('running').length);
      expect(door.slots.queued).toBe(door.of('waiting').length);
      door.slots.resize(5);
      for (let i = 0; i < 60 && door.slots.active + door.slots.queued > 0; i++) {
        for (const visit of door.of('running')) visit.end();
        await door.clock.advance(10);
      }
      expect(door.of('waiting')).toEqual([]);
      expect(door.of('running')).toEqual([]);
      expect(door.slots.snapshot()).toMatchObject({ active: 0, taken: 0, queued: 0 });
      expect(door.clock.pending).toBe(0);
    }),
    { numRuns: 60 },
  );
});
