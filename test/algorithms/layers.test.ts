import { expect, test } from 'vitest';
import { type Layer, Layers } from '../../src/algorithms/layers.ts';

const layer = (name: string, levels: Record<string, number>, until = Infinity): Layer => ({
  name,
  levels: new Map(Object.entries(levels)),
  until,
});

test('the latest layer that names a feature decides on it', () => {
  const layers = new Layers();
  expect(layers.deciding('a')).toBeUndefined();
  layers.put(layer('one', { a: 1, b: 1 }));
  layers.put(layer('two', { b: 2 }));
  expect([layers.deciding('a')?.name, layers.deciding('b')?.name, layers.deciding('c')?.name]).toEqual(['one', 'two', undefined]);
});

test('a layer that is taken out, wherever it lies, leaves what the others say', () => {
  const layers = new Layers();
  for (const name of ['one', 'two', 'three']) layers.put(layer(name, { a: 1 }));
  expect(layers.remove('two')?.name).toBe('two');
  expect(layers.remove('two')).toBeUndefined();
  expect(layers.deciding('a')?.name).toBe('three');
  layers.remove('three');
  expect(layers.deciding('a')?.name).toBe('one');
});

test('one that comes again lies on top, once', () => {
  const layers = new Layers();
  for (const name of ['one', 'two', 'one']) layers.put(layer(name, { a: 1 }));
  expect(layers.all().map(({ name }) => name)).toEqual(['two', 'one']);
});

test('layers lapse one after the other, in the order of their times', () => {
  const layers = new Layers();
  layers.put(layer('late', { a: 1 }, 20));
  layers.put(layer('soon', { a: 2 }, 10));
  layers.put(layer('never', { a: 3 }));
  expect(layers.next).toBe(10);
  expect(layers.lapse(9)).toBeUndefined();
  expect([layers.lapse(30)?.name, layers.lapse(30)?.name, layers.lapse(30)]).toEqual(['soon', 'late', undefined]);
  expect(layers.next).toBe(Infinity);
  expect(layers.get('never')).toBeDefined();
});
