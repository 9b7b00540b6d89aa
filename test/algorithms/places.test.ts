import { describe, expect, test } from 'vitest';
import { Places, hashOf } from '../../src/algorithms/places.ts';

describe('places', () => {
  test('ids that meet share what stands there, and a place that is cleared is free', () => {
    const places = new Places<string>(1, 7);
    expect([places.get('a'), places.taken]).toEqual([undefined, 0]);
    places.set('a', 'x');
    expect([places.get('b'), places.taken]).toEqual(['x', 1]);
    places.set('c', 'y');
    expect([places.get('a'), places.taken]).toEqual(['y', 1]);
    places.set('a', undefined);
    places.set('b', undefined);
    expect([places.get('c'), places.taken]).toEqual([undefined, 0]);
  });

  test('spread keys evenly', () => {
    const counts = new Map<number, number>();
    for (let i = 0; i < 100_000; i++) {
      const place = hashOf(`attacker-${i}`, 0x9e3779b9) % 100;
      counts.set(place, (counts.get(place) ?? 0) + 1);
    }
    expect(counts.size).toBe(100);
    expect(Math.max(...counts.values())).toBeLessThan(1150);
    expect(Math.min(...counts.values())).toBeGreaterThan(850);
  });

  test('which keys meet depends on the seed', () => {
    const meets = (seed: number): string[] => Array.from({ length: 200 }, (_, i) => `k${i}`).filter((key) => hashOf(key, seed) % 16 === 0);
    expect(meets(1)).not.toEqual(meets(2));
  });

  test('every UTF-16 unit counts', () => {
    const texts = ['', '\0', '\0\0', '\ud800', '\udc00', '\ufffd', 'a', 'A', 'aa', 'á', 'a\u0301', '🙂'];
    expect(new Set(texts.map((text) => hashOf(text, 1))).size).toBe(texts.length);
  });
});
