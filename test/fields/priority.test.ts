import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { priorities } from '../../src/core/priority.ts';
import { parsePriority, writePriority } from '../../src/fields/priority.ts';
import { hostile, often } from './hostile.ts';

describe('a request says how much it matters', () => {
  test.each([
    ['critical', { priority: 'critical' }],
    ['sheddable;42', { priority: 'sheddable', priorityLevel: 42 }],
    ['best-effort;0', { priority: 'best-effort', priorityLevel: 0 }],
    ['critical-plus;99', { priority: 'critical-plus', priorityLevel: 99 }],
    ['critical;07', { priority: 'critical', priorityLevel: 7 }],
  ])('with %j', (value, stated) => {
    expect(parsePriority(value)).toEqual(stated);
  });

  test.each(['', ';', ';5', 'Critical', 'urgent', 'critical ', 'critical;', 'critical;100', 'critical;-1', 'critical;1.5', 'critical; 5'])(
    'and not with %j',
    (value) => {
      expect(parsePriority(value)).toBeUndefined();
    },
  );

  test.each(['critical, critical', 'critical;5;6', '__proto__', 'constructor', 'toString', '0', 'undefined'])('nor with %j', (value) => {
    expect(parsePriority(value)).toBeUndefined();
  });
});

test('what is written is read again, of every class and level', () => {
  for (const priority of priorities) {
    expect(parsePriority(writePriority(priority))).toEqual({ priority });
    for (let priorityLevel = 0; priorityLevel < 100; priorityLevel++)
      expect(parsePriority(writePriority(priority, priorityLevel))).toEqual({ priority, priorityLevel });
  }
});

test('a level that is none is not written', () => {
  for (const level of [-1, 100, 1.5, NaN, Infinity]) expect(writePriority('critical', level)).toBe('critical');
});

test('whatever stands there, the class is one that there is, and the level is from 0 to 99', () => {
  fc.assert(
    fc.property(hostile, (value) => {
      const stated = parsePriority(value);
      if (stated === undefined) return;
      expect(priorities).toContain(stated.priority);
      expect(writePriority(stated.priority, stated.priorityLevel).length).toBeLessThanOrEqual(value.length);
    }),
    often,
  );
});
