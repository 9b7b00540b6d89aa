import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Rows } from '../../src/algorithms/rows.ts';
import '../support/properties.ts';

function write(rows: Rows, row: number, value: number): void {
  rows.numbers(row).fill(value, rows.offset(row), rows.offset(row) + rows.width);
}

function read(rows: Rows, row: number): number[] {
  return [...rows.numbers(row).subarray(rows.offset(row), rows.offset(row) + rows.width)];
}

test('memory comes in blocks and goes when a crowd has left, wherever somebody stays', () => {
  const rows = new Rows(4);
  const taken = Array.from({ length: 10_000 }, () => rows.add());
  expect(rows.capacity).toBeLessThan(10_600);
  for (const row of taken) if (row !== 5000) rows.remove(row);
  expect([rows.size, rows.capacity]).toEqual([1, 1024]);
});

test('new rows go where there is room below, so that the blocks above can empty', () => {
  const rows = new Rows(4);
  const taken = Array.from({ length: 5000 }, () => rows.add());
  taken.slice(0, 500).forEach((row) => rows.remove(row));
  const fresh = Array.from({ length: 500 }, () => rows.add());
  expect(Math.max(...fresh)).toBeLessThan(512);
  expect([rows.size, rows.capacity]).toEqual([5000, 5120]);
});

test('no row is given twice, and what stands in one is changed by nobody else', () => {
  const commands = fc.array(fc.oneof(fc.constant('add' as const), fc.nat(3000)), { size: 'max', minLength: 20, maxLength: 120 });
  const property = fc.property(commands, fc.integer({ min: 1, max: 5 }), (list, width) => {
    const rows = new Rows(width);
    const taken = new Map<number, number>();
    let next = 1;
    for (const command of list) {
      if (command === 'add') {
        for (let i = 0; i < 40; i++) {
          const row = rows.add();
          expect(taken.has(row)).toBe(false);
          write(rows, row, next);
          taken.set(row, next++);
        }
      } else {
        for (const row of [...taken.keys()].slice(command % 100, (command % 100) + 60)) {
          rows.remove(row);
          taken.delete(row);
        }
      }
    }
    expect(rows.size).toBe(taken.size);
    for (const [row, value] of taken) expect(read(rows, row)).toEqual(Array<number>(width).fill(value));
  });
  fc.assert(property, { numRuns: 10 });
});
