import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fifo } from '../../src/algorithms/fifo.ts';
import { ByKey } from '../../src/algorithms/lines/by-key.ts';
import { Heap } from '../../src/algorithms/lines/heap.ts';
import { Lifo } from '../../src/algorithms/lines/lifo.ts';
import type { Line, Partition, Wants } from '../../src/algorithms/lines/line.ts';
import { Partitions, shareOf } from '../../src/algorithms/lines/partitions.ts';
import { Ranked } from '../../src/algorithms/lines/ranked.ts';
import { Waiter } from '../../src/algorithms/slots.ts';

type Entry = Waiter<number, undefined, never>;

interface Asked {
  readonly since?: number;
  readonly rank?: number;
  readonly key?: string;
  readonly weight?: number;
  readonly partition?: Partition;
}

const wanting = ({ rank = 0, key, weight = 1, partition }: Asked): Wants => ({ rank, key, weight, partition });

function entry(id: number, asked: Asked = {}): Entry {
  return new Waiter<number, undefined, never>(id, undefined, asked.since ?? id, Infinity, () => undefined, wanting(asked));
}

/** Everybody, in the order of their turns. */
function drained(line: Line<Entry>): number[] {
  const order: number[] = [];
  for (let next = line.next; next !== undefined; next = line.next) {
    expect(line.shift()).toBe(next);
    order.push(next.owner);
  }
  expect([line.size, line.oldest, line.least, line.shift()]).toEqual([0, undefined, undefined, undefined]);
  return order;
}

const filled = (line: Line<Entry>, ...entries: Entry[]): Line<Entry> => {
  for (const each of entries) line.push(each);
  return line;
};

/** What happens to a line: somebody comes, or leaves, or is served. */
const commands = fc.array(
  fc.record({
    what: fc.constantFrom<('come' | 'leave' | 'serve')[]>('come', 'come', 'leave', 'serve'),
    rank: fc.integer({ min: 0, max: 4 }),
    key: fc.constantFrom<(string | undefined)[]>('a', 'b', '__proto__', 'constructor', undefined),
    after: fc.integer({ min: 0, max: 30 }),
    which: fc.nat(30),
  }),
  { maxLength: 60 },
);

/** Runs commands against a line and a plain list of who stands there, in the order in which they came; `law` says whose turn it is. */
function obeys(make: () => Line<Entry>, law: (standing: readonly Entry[], served: readonly Entry[]) => Entry | undefined): void {
  fc.assert(
    fc.property(commands, (all) => {
      const line = make();
      let standing: Entry[] = [];
      const served: Entry[] = [];
      const known: Entry[] = [];
      let now = 0;
      for (const { what, rank, key, after, which } of all) {
        now += after;
        if (what === 'come') {
          const come = entry(known.length, { since: now, rank, ...(key !== undefined && { key }) });
          known.push(come);
          standing.push(come);
          line.push(come);
        } else if (what === 'leave') {
          const leaves = known[which];
          if (leaves === undefined) continue;
          expect(line.remove(leaves)).toBe(standing.includes(leaves));
          standing = standing.filter((each) => each !== leaves);
        } else {
          const due = law(standing, served);
          expect(line.next?.owner).toBe(due?.owner);
          expect(line.shift()).toBe(due);
          if (due !== undefined) served.push(due);
          standing = standing.filter((each) => each !== due);
        }
        expect(line.size).toBe(standing.length);
        expect(line.oldest?.since).toBe(standing[0]?.since);
        const seen: number[] = [];
        line.some(({ owner }) => (seen.push(owner), false));
        expect(seen.sort((a, b) => a - b)).toEqual(standing.map(({ owner }) => owner));
        expect(line.some(({ owner }) => owner === standing[0]?.owner)).toBe(standing.length > 0);
      }
    }),
  );
}

const rankOf = (each: Entry): number => each.wants?.rank ?? 0;

describe('every order keeps its law, whoever comes, leaves and is served in between', () => {
  test('first come, first served (B3)', () => {
    obeys(
      () => new Fifo<Entry>(),
      (standing) => standing[0],
    );
  });

  test('last come, first served', () => {
    obeys(
      () => new Lifo<Entry>(),
      (standing) => standing.at(-1),
    );
  });

  test('the newest only while more than so many wait, else the oldest', () => {
    obeys(
      () => new Lifo<Entry>(() => 4),
      (standing) => (standing.length > 4 ? standing.at(-1) : standing[0]),
    );
  });

  test('the highest rank, first come, first served among equals (B3)', () => {
    obeys(
      () => new Ranked<Entry>(Infinity),
      (standing) => standing.toSorted((a, b) => rankOf(b) - rankOf(a) || a.owner - b.owner)[0],
    );
  });

  test('rank and age together: one class for so long a wait', () => {
    // Ranks differ by one here, which is what 10 ms of waiting are worth with 1 s for a class of 100.
    const merit = (each: Entry): number => rankOf(each) - each.since / 10;
    obeys(
      () => new Ranked<Entry>(1000),
      (standing) => standing.toSorted((a, b) => merit(b) - merit(a) || a.owner - b.owner)[0],
    );
  });

  test('keys in turn, and first come, first served within each', () => {
    // A plain model of taking turns: keys stand in a ring in the order in which they came; one that was served goes to its end.
    fc.assert(
      fc.property(commands, (all) => {
        const line = new ByKey<Entry>(() => new Fifo());
        let ring: { readonly key: string | undefined; entries: Entry[] }[] = [];
        const known: Entry[] = [];
        for (const { what, key, which } of all) {
          if (what === 'come') {
            const come = entry(known.length, key === undefined ? {} : { key });
            known.push(come);
            line.push(come);
            const own = ring.find((each) => each.key === key);
            if (own === undefined) ring.push({ key, entries: [come] });
            else own.entries.push(come);
          } else if (what === 'leave') {
            const leaves = known[which];
            if (leaves === undefined) continue;
            const own = ring.find(({ entries }) => entries.includes(leaves));
            expect(line.remove(leaves)).toBe(own !== undefined);
            if (own !== undefined) own.entries = own.entries.filter((each) => each !== leaves);
          } else {
            const turn = ring.shift();
            expect(line.shift()).toBe(turn?.entries.shift());
            if (turn !== undefined) ring.push(turn);
          }
          ring = ring.filter(({ entries }) => entries.length > 0);
          expect([line.size, line.keys]).toEqual([ring.reduce((sum, { entries }) => sum + entries.length, 0), ring.length]);
        }
      }),
    );
  });
});

describe('a line by rank', () => {
  test('tells who matters least: of the lowest rank the one that came last', () => {
    const line = filled(
      new Ranked<Entry>(1000),
      entry(1, { rank: 5 }),
      entry(2, { rank: 3 }),
      entry(3, { rank: 3 }),
      entry(4, { rank: 9 }),
    );
    expect(line.least?.owner).toBe(3);
    line.remove(line.least as Entry);
    expect(line.least?.owner).toBe(2);
    expect(drained(line)).toEqual([4, 1, 2]);
  });

  test('lets nobody wait for ever: after one `aging` per class a newcomer of a higher class is behind (A5)', () => {
    const line = new Ranked<Entry>(1000);
    line.push(entry(1, { since: 0, rank: 0 }));
    line.push(entry(2, { since: 3999, rank: 400 }));
    expect(line.next?.owner).toBe(2);
    line.shift();
    line.push(entry(3, { since: 4001, rank: 400 }));
    expect(line.next?.owner).toBe(1);
  });

  test('tells how many go before a newcomer', () => {
    const line = filled(new Ranked<Entry>(Infinity), entry(1, { rank: 100 }), entry(2, { rank: 300 }), entry(3, { rank: 200 }));
    expect([400, 300, 150, 0].map((rank) => line.ahead(wanting({ rank }), 10))).toEqual([0, 1, 2, 3]);
    const aged = filled(new Ranked<Entry>(1000), entry(1, { since: 0, rank: 0 }));
    expect([500, 1500].map((now) => aged.ahead(wanting({ rank: 100 }), now))).toEqual([0, 1]);
  });

  test('has a heap that gives out what it was given, in order, whatever is taken out in between', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 50 })), fc.array(fc.nat(60)), (numbers, taken) => {
        interface Item {
          readonly n: number;
          at: number;
        }
        const heap = new Heap<Item>(
          (a, b) => a.n < b.n,
          (item, at) => (item.at = at),
        );
        let left: Item[] = numbers.map((n) => ({ n, at: -1 }));
        for (const item of left) heap.add(item);
        for (const which of taken) {
          const item = left[which];
          if (item === undefined) continue;
          expect(heap.items[item.at]).toBe(item);
          heap.removeAt(item.at);
          left = left.filter((each) => each !== item);
        }
        const out: number[] = [];
        for (let top = heap.top; top !== undefined; top = heap.top) {
          out.push(top.n);
          heap.removeAt(0);
        }
        expect(out).toEqual(left.map(({ n }) => n).sort((a, b) => a - b));
      }),
    );
  });
});

describe('lines by key', () => {
  const byKey = (): ByKey<Entry> => new ByKey<Entry>(() => new Fifo());

  test('let nobody wait for the many calls of another', () => {
    const many = Array.from({ length: 100 }, (_, i) => entry(i, { key: 'greedy' }));
    const line = filled(byKey(), ...many, entry(900, { key: 'modest' }), entry(901, { key: 'modest' }));
    expect(drained(line).slice(0, 4)).toEqual([0, 900, 1, 901]);
  });

  test('keep nothing of keys of which nobody waits, hostile ones included', () => {
    const line = byKey();
    for (let i = 0; i < 10_000; i++) {
      const hostile = entry(i, { key: ['__proto__', 'hasOwnProperty', String(i)][i % 3] as string });
      line.push(hostile);
      if (i % 2 === 0) line.remove(hostile);
      else line.shift();
    }
    expect([line.size, line.keys]).toEqual([0, 0]);
  });

  test('tell how many go before a newcomer of a key: those of its own, and as many rounds of the others', () => {
    const line = filled(byKey(), ...[1, 2, 3, 4].map((id) => entry(id, { key: 'a' })), entry(5, { key: 'b' }));
    expect(line.ahead(wanting({ key: 'c' }), 0)).toBe(2);
    expect(line.ahead(wanting({ key: 'b' }), 0)).toBe(3);
    expect(line.ahead(wanting({ key: 'a' }), 0)).toBe(5);
  });

  test('tell who matters least of all keys, if their lines know', () => {
    const line = new ByKey<Entry>(() => new Ranked(Infinity));
    filled(line, entry(1, { key: 'a', rank: 2 }), entry(2, { key: 'b', rank: 1 }), entry(3, { key: 'c', rank: 3 }));
    expect(line.least?.owner).toBe(2);
    expect(filled(byKey(), entry(1, { key: 'a' })).least).toBeUndefined();
  });
});

describe('partitions', () => {
  test('have their share of the slots, rounded up, one at least, and none of none', () => {
    expect([20, 10, 5, 1, 0].map((limit) => [shareOf(limit, 0.3), shareOf(limit, 0.7)])).toEqual([
      [6, 14],
      [3, 7],
      [2, 4],
      [1, 1],
      [0, 0],
    ]);
    // 100 × 0.07 is 7.000000000000001.
    expect([shareOf(100, 0.07), shareOf(100, 0.29), shareOf(10, 0)]).toEqual([7, 29, 0]);
  });

  test('have their turn by how little of their share they use; who belongs to none comes last', () => {
    const partitions = new Partitions<Entry>(
      new Map([
        ['batch', 0.2],
        ['live', 0.8],
      ]),
      10,
      () => new Fifo(),
    );
    const [batch, live] = [partitions.of('batch'), partitions.of('live')];
    filled(
      partitions,
      entry(1, { partition: partitions.rest }),
      entry(2, { partition: batch }),
      entry(3, { partition: live }),
      entry(4, { partition: live }),
    );
    expect([partitions.size, batch.waiting, live.waiting, partitions.oldest?.owner]).toEqual([4, 1, 2, 1]);
    batch.taken = 1;
    live.taken = 5;
    expect(partitions.shift()?.owner).toBe(3);
    live.taken = 8;
    expect(partitions.shift()?.owner).toBe(2);
    expect(drained(partitions)).toEqual([4, 1]);
  });

  test('know the names they were given and no others', () => {
    const partitions = new Partitions<Entry>(new Map([['__proto__', 0.5]]), 10, () => new Fifo());
    expect(partitions.of('__proto__')).toMatchObject({ name: '__proto__', limit: 5 });
    for (const name of [undefined, 'constructor', 'toString', '']) expect(partitions.of(name)).toBe(partitions.rest);
  });

  test('let go of whoever matters least of all, and of nobody who does not stand there', () => {
    const partitions = new Partitions<Entry>(
      new Map([
        ['a', 0.5],
        ['b', 0.5],
      ]),
      10,
      () => new Ranked(Infinity),
    );
    const [a, b] = [partitions.of('a'), partitions.of('b')];
    const [one, two] = [entry(1, { partition: a, rank: 4 }), entry(2, { partition: b, rank: 3 })];
    filled(partitions, one, two);
    expect(partitions.least).toBe(two);
    expect([partitions.remove(two), partitions.remove(two), partitions.size, b.waiting]).toEqual([true, false, 1, 0]);
    expect(partitions.ahead(wanting({ partition: a, rank: 0 }), 5)).toBe(1);
    expect(partitions.ahead(wanting({ partition: b, rank: 0 }), 5)).toBe(0);
    expect(partitions.some((each) => each === one)).toBe(true);
    expect(partitions.some((each) => each === two)).toBe(false);
  });
});

describe('a stack with a threshold', () => {
  test('tells how many go before a newcomer: all, or nobody', () => {
    const line = new Lifo<Entry>(() => 2);
    expect(line.ahead()).toBe(0);
    filled(line, entry(1));
    expect(line.ahead()).toBe(1);
    filled(line, entry(2));
    expect(line.ahead()).toBe(0);
    expect(line.least).toBeUndefined();
    expect(drained(line)).toEqual([1, 2]);
  });
});
