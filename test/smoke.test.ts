import { pipeline, timeout, retry, fallback, definePolicy, fromMiddleware, refuse } from 'breakwater';
import { test, expect } from 'vitest';
test('smoke', async () => {
  const p = pipeline([fallback({ value: 'fb' }), retry({ maxAttempts: 2, backoff: { delay: 1 } }), timeout({ after: 20 })]);
  expect(await p.execute(() => 1)).toBe(1);
  expect(await p.execute(() => Promise.reject(new Error('x')))).toBe('fb');
  expect(await p.executeOutcome(() => Promise.reject(new Error('x')))).toEqual({ ok: true, value: 'fb', degraded: true });
  const t = pipeline([timeout({ after: 20 })]);
  await expect(t.execute(() => new Promise(() => {}))).rejects.toMatchObject({ code: 'ERR_TIMEOUT', after: 20 });
  const c = new AbortController(); const why = { why: 1 };
  const r = pipeline([retry({ backoff: { delay: 10000, jitter: 'none' } })]).execute(() => { throw new Error('a') }, { signal: c.signal });
  setTimeout(() => c.abort(why), 5);
  await expect(r).rejects.toBe(why);
  const m = pipeline([fromMiddleware(async (_c, next) => { const v = await next(); return String(v) + '!'; })]);
  expect(await m.execute(() => 'a')).toBe('a!');
  await expect(m.execute(() => { throw why })).rejects.toBe(why);
  expect(pipeline([definePolicy({ kind: 'x', gate: { enter: () => refuse(new Error('no')), settle() {}, cancel() {} } })]).tryAcquire()).toMatchObject({ admitted: false });
  const nested = pipeline([fallback({ value: 'outer' }), pipeline([retry({ maxAttempts: 2, backoff: { delay: 0 } }), timeout({ after: 10 })], { name: 'in' })], { name: 'out' });
  expect(await nested.execute(() => new Promise<string>(() => {}))).toBe('outer');
  expect(nested.snapshot()).toMatchObject({ active: 0 });
  async function failing() { await null; await new Promise((r) => setTimeout(r, 1)); throw new Error('deep'); }
  async function callerFn() { return await pipeline([retry({ maxAttempts: 1 }), definePolicy({ kind: 'y', gate: { enter: () => 1, settle() {}, cancel() {} } }), timeout({ after: 100 })]).execute(() => failing()); }
  const e = await callerFn().catch((e: Error) => e) as Error;
  console.log(e.stack);
});
