import { expect, test } from 'vitest';
import { makeRoom } from '../../src/algorithms/room.ts';

/** Entries in the order of their use, and how often each was looked at. */
class Shelf {
  readonly entries = new Map<number, { idle: boolean; mayGo: boolean }>();
  looks = 0;

  rkeys(): Iterable<number> {
    return [...this.entries.keys()];
  }

  peek(id: number): { idle: boolean; mayGo: boolean } | undefined {
    this.looks++;
    return this.entries.get(id);
  }

  get(id: number): { idle: boolean; mayGo: boolean } | undefined {
    const value = this.entries.get(id);
    this.entries.delete(id);
    if (value !== undefined) this.entries.set(id, value);
    return value;
  }

  delete(id: number): boolean {
    return this.entries.delete(id);
  }

  /** Makes room and answers with the ids that went. */
  clear(needed: boolean): number[] {
    const before = [...this.entries.keys()];
    makeRoom(
      this,
      needed,
      ({ idle }) => idle,
      ({ mayGo }) => mayGo,
    );
    return before.filter((id) => !this.entries.has(id));
  }
}

function shelf(count: number, of: (i: number) => { idle: boolean; mayGo: boolean }): Shelf {
  const made = new Shelf();
  for (let i = 0; i < count; i++) made.entries.set(i, of(i));
  return made;
}

test('while there is room only idle entries go, a few at a time', () => {
  const idle = shelf(10, (i) => ({ idle: i < 6, mayGo: true }));
  expect([idle.clear(false), idle.clear(false), idle.clear(false)]).toEqual([[0, 1, 2, 3], [4, 5], []]);
});

test('when room is needed the one unused for longest that may go does', () => {
  const busy = shelf(10, (i) => ({ idle: false, mayGo: i === 3 || i === 5 }));
  expect(busy.clear(true)).toEqual([3]);
  expect([...busy.entries.keys()]).toEqual([4, 5, 6, 7, 8, 9, 0, 1, 2]);
});

test('the search is bounded, and each looks at others, so that it finds what may go in the end', () => {
  const crowd = shelf(1000, (i) => ({ idle: true, mayGo: i === 500 }));
  const searches = Array.from({ length: 16 }, () => crowd.clear(true));
  expect(searches.slice(0, 15).flat()).toEqual([]);
  expect(searches[15]).toEqual([500]);
  expect(crowd.looks).toBeLessThanOrEqual(16 * 32);
});
