import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Fifo, type Linked } from '../../src/algorithms/fifo.ts';

class Entry implements Linked {
  readonly id: number;
  ahead: Linked | undefined = undefined;
  behind: Linked | undefined = undefined;
  standsIn: object | undefined = undefined;

  constructor(id: number) {
    this.id = id;
  }
}

const entries = (count: number): [Entry, Entry, Entry, ...Entry[]] =>
  Array.from({ length: count }, (_, id) => new Entry(id)) as [Entry, Entry, Entry, ...Entry[]];

/** Empties the queue and tells the order. */
const drain = (queue: Fifo<Entry>): number[] => {
  const order: number[] = [];
  for (let entry = queue.shift(); entry !== undefined; entry = queue.shift()) order.push(entry.id);
  return order;
};

describe('a queue', () => {
  test('hands out entries in the order they came (B3)', () => {
    const queue = new Fifo<Entry>();
    for (const entry of entries(5)) queue.push(entry);
    expect(queue.size).toBe(5);
    expect(queue.oldest?.id).toBe(0);
    expect(drain(queue)).toEqual([0, 1, 2, 3, 4]);
    expect(queue.size).toBe(0);
    expect(queue.oldest).toBeUndefined();
  });

  test.each([
    ['the first', 0, [1, 2, 3]],
    ['one in the middle', 2, [0, 1, 3]],
    ['the last', 3, [0, 1, 2]],
  ])('lets %s leave, and the others keep their order', (_, leaver, order) => {
    const queue = new Fifo<Entry>();
    const all = entries(4);
    for (const entry of all) queue.push(entry);
    expect(queue.remove(all[leaver] as Entry)).toBe(true);
    expect(queue.size).toBe(3);
    expect(drain(queue)).toEqual(order);
  });

  test('is usable again after its only entry has left', () => {
    const queue = new Fifo<Entry>();
    const [one, two] = entries(3);
    queue.push(one);
    queue.remove(one);
    expect(queue.oldest).toBeUndefined();
    queue.push(two);
    queue.push(one);
    expect(drain(queue)).toEqual([1, 0]);
  });

  test('does not know an entry that has left, never came, or stands in another queue', () => {
    const [queue, other] = [new Fifo<Entry>(), new Fifo<Entry>()];
    const [one, two, stranger] = entries(3);
    queue.push(one);
    other.push(two);
    expect([queue.remove(two), queue.remove(stranger)]).toEqual([false, false]);
    expect([queue.remove(one), queue.remove(one)]).toEqual([true, false]);
    expect([queue.size, other.size]).toEqual([0, 1]);
    expect(drain(other)).toEqual([1]);
  });

  test('keeps no link to an entry that has left, nor from it', () => {
    const queue = new Fifo<Entry>();
    const [one, two, three] = entries(3);
    for (const entry of [one, two, three]) queue.push(entry);
    queue.remove(two);
    expect(two).toMatchObject({ id: 1, ahead: undefined, behind: undefined, standsIn: undefined });
    expect(one.behind).toBe(three);
    expect(three.ahead).toBe(one);
    queue.shift();
    expect(three.ahead).toBeUndefined();
    expect(one).toMatchObject({ id: 0, ahead: undefined, behind: undefined, standsIn: undefined });
  });

  test('says whether something holds for one of its entries, asking the oldest first and no further than needed', () => {
    const queue = new Fifo<Entry>();
    for (const entry of entries(4)) queue.push(entry);
    const asked: number[] = [];
    expect(queue.some(({ id }) => asked.push(id) > 0 && id === 2)).toBe(true);
    expect(asked).toEqual([0, 1, 2]);
    expect(queue.some(() => false)).toBe(false);
  });

  test('agrees with an array on any sequence of joining, leaving and taking (B3)', () => {
    const command = fc.oneof(
      fc.record({ do: fc.constant('push' as const), which: fc.nat(9) }),
      fc.record({ do: fc.constant('remove' as const), which: fc.nat(9) }),
      fc.record({ do: fc.constant('shift' as const), which: fc.constant(0) }),
    );
    fc.assert(
      fc.property(fc.array(command, { maxLength: 60 }), (commands) => {
        const all = entries(10);
        const queue = new Fifo<Entry>();
        let model: Entry[] = [];
        for (const { do: what, which } of commands) {
          const entry = all[which] as Entry;
          if (what === 'shift') {
            expect(queue.shift()).toBe(model.shift());
          } else if (what === 'remove') {
            expect(queue.remove(entry)).toBe(model.includes(entry));
            model = model.filter((each) => each !== entry);
          } else if (!model.includes(entry)) {
            queue.push(entry);
            model.push(entry);
          }
          expect([queue.size, queue.oldest]).toEqual([model.length, model[0]]);
        }
        expect(drain(queue)).toEqual(model.map(({ id }) => id));
      }),
    );
  });
});
