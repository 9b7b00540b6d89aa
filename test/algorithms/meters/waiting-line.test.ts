import { beforeEach, describe, expect, test } from 'vitest';
import { Bucket, type Charge } from '../../../src/algorithms/meters/token-bucket.ts';
import { Turn, WaitingLine } from '../../../src/algorithms/meters/waiting-line.ts';

let bucket: Bucket;
let line: WaitingLine<number, Charge>;
/** When the bell is set for; `undefined` if it is not. */
let bell: number | undefined;
let log: string[];

beforeEach(() => {
  bucket = new Bucket({ rate: 10, per: 1000, burst: 3 }, 0, 0);
  bell = undefined;
  log = [];
  line = new WaitingLine(bucket, () => ({
    set: (due) => (bell = Math.round(Math.min(bell ?? Infinity, due) * 1000) / 1000),
    clear: () => (bell = undefined),
  }));
});

/** Somebody joins the line. */
function join(name: string, cost = 1, now = 0, until = Infinity): Turn<number, Charge> {
  const turn = new Turn<number, Charge>(cost, until, (receipt) => log.push(receipt === undefined ? `${name} in vain` : name));
  line.join(turn, now);
  return turn;
}

/** The bell rings, at the time it was set for or later. */
function ring(now: number): string[] {
  bell = undefined;
  line.advance(now);
  return log.splice(0);
}

describe('a waiting line', () => {
  test('grants tokens first come, first served, each when its tokens are there', () => {
    join('a');
    join('b', 2);
    join('c');
    expect(bell).toBe(100);
    expect(ring(100)).toEqual(['a']);
    expect(ring(200)).toEqual([]);
    expect(ring(300)).toEqual(['b']);
    expect(bell).toBe(400);
    expect(ring(400)).toEqual(['c']);
    expect([bell, line.size]).toEqual([undefined, 0]);
  });

  test('all behind one that leaves move up at once, whatever each of them costs', () => {
    const first = join('a', 3);
    join('b', 0.5);
    const third = join('c', 2);
    join('d', 1);
    line.leave(third, 0);
    expect(log).toEqual([]);
    line.leave(first, 0);
    expect(bell).toBe(50);
    expect(ring(50)).toEqual(['b']);
    expect(ring(150)).toEqual(['d']);
    expect(bucket.available(150)).toBeCloseTo(0, 12);
  });

  test('leaving twice, or after the turn has come, changes nothing', () => {
    const turn = join('a');
    line.leave(turn, 0);
    line.leave(turn, 0);
    expect(bucket.available(0)).toBe(0);
    const granted = join('b');
    ring(100);
    line.leave(granted, 100);
    expect(bucket.available(100)).toBeCloseTo(0, 12);
  });

  test('a bell that rings late lets no crowd through: a bucket holds no more than its burst', () => {
    for (const name of 'abcdefgh') join(name);
    expect(ring(800)).toEqual(['a', 'b', 'c']);
    expect(bell).toBe(900); // what came in beyond that during the delay is lost
    expect(ring(900)).toEqual(['d']);
  });

  test('a bell that rings a little late, as timers do, makes nobody slower than the rate', () => {
    for (const name of 'abcdefgh') join(name);
    let now = 0;
    for (const name of 'abcdefgh') {
      now = (bell as number) + 15;
      expect(ring(now)).toEqual([name]);
    }
    expect(now).toBe(815);
  });

  test('one whose turn would come too late after such a delay is told at once', () => {
    join('a', 3, 0, 500);
    join('b', 3, 0, 700);
    join('c', 1, 0, 2000);
    expect(ring(450)).toEqual(['a', 'b in vain']);
    expect(ring(550)).toEqual(['c']);
  });

  test('a change of the limit counts for those who wait, and ends the hopeless ones', () => {
    join('a', 1, 0, 1000);
    join('b', 3, 0, 1000);
    join('c', 1, 0, 1000);
    bucket.change({ rate: 2, per: 1000, burst: 2 }, 0);
    line.review(0);
    expect(log.splice(0)).toEqual(['b in vain']);
    expect(ring(500)).toEqual(['a']);
    bucket.change({ rate: 1, per: 1000, burst: 2 }, 500);
    line.review(500);
    expect(log.splice(0)).toEqual(['c in vain']);
    expect([bell, bucket.available(500)]).toEqual([undefined, 0]);
  });
});
