import { getEventListeners } from 'node:events';
import { expect, test, vi } from 'vitest';
import { subscribe, unsubscribe } from '../../src/core/signals.ts';

const calls = (n: number): { cancel: (reason: unknown) => void; reasons: unknown[] }[] =>
  Array.from({ length: n }, () => {
    const reasons: unknown[] = [];
    return { reasons, cancel: (reason) => reasons.push(reason) };
  });

test('any number of calls share one listener, which goes with the last of them', () => {
  const { signal } = new AbortController();
  const many = calls(10_000);
  for (const call of many) subscribe(signal, call);
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  for (const call of many.slice(1)) unsubscribe(signal, call);
  expect(getEventListeners(signal, 'abort')).toHaveLength(1);
  unsubscribe(signal, many[0] as (typeof many)[0]);
  expect(getEventListeners(signal, 'abort')).toHaveLength(0);
});

test('an abort reaches every call once with its very reason, and leaves no listener', () => {
  const caller = new AbortController();
  const reason = { why: 1 };
  const many = calls(3);
  for (const call of many) subscribe(caller.signal, call);
  caller.abort(reason);
  for (const { reasons } of many) expect(reasons).toEqual([reason]);
  expect(reason).toBe(many[0]?.reasons[0]);
  expect(getEventListeners(caller.signal, 'abort')).toHaveLength(0);
});

test('a call that leaves while others are being told is left alone', () => {
  const caller = new AbortController();
  const second = { cancel: vi.fn() };
  subscribe(caller.signal, { cancel: () => unsubscribe(caller.signal, second) });
  subscribe(caller.signal, second);
  expect(() => caller.abort()).not.toThrow();
});
