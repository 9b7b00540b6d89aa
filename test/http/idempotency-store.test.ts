import { VirtualClock } from 'breakwater/testing';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Idempotency } from '../../src/http/idempotency/idempotency.ts';
import { type StoredOutcome, memoryIdempotencyStore } from '../../src/http/idempotency/store.ts';

const outcome = (size = 10): StoredOutcome => ({ status: 200, headers: { 'x-a': '1' }, body: new Uint8Array(size) });

function token(store: ReturnType<typeof memoryIdempotencyStore>, key: string, lease = 1000): string {
  const begun = store.begin(key, 'f', lease);
  if (begun.state !== 'new') throw new Error(`expected new, got ${begun.state}`);
  return begun.token;
}

describe('memoryIdempotencyStore', () => {
  test('a key goes from new to running to done', () => {
    const store = memoryIdempotencyStore();
    const held = token(store, 'k');
    expect(store.begin('k', 'f', 1000)).toEqual({ state: 'running' });
    expect(store.begin('k', 'g', 1000)).toEqual({ state: 'mismatch' });
    store.complete('k', held, 'f', outcome(), 1000);
    expect(store.begin('k', 'f', 1000)).toEqual({ state: 'done', outcome: outcome() });
    expect(store.begin('k', 'g', 1000)).toEqual({ state: 'mismatch' });
    expect([store.size, store.held]).toEqual([1, 0]);
  });

  test('one that is given back is new again, and only its holder can do that', () => {
    const store = memoryIdempotencyStore();
    const held = token(store, 'k');
    store.abandon('k', 'another');
    expect(store.begin('k', 'f', 1000).state).toBe('running');
    store.abandon('k', held);
    expect(store.begin('k', 'f', 1000).state).toBe('new');
  });

  test('a holder whose lease has run out has the say until somebody else takes the key, and none after that', async () => {
    const clock = new VirtualClock();
    const store = memoryIdempotencyStore({ clock });
    const slow = token(store, 'a');
    await clock.advance(1000);
    store.complete('a', slow, 'f', outcome(1), 1000);
    expect(store.begin('a', 'f', 1000).state).toBe('done');

    const dead = token(store, 'b');
    await clock.advance(1000);
    const second = token(store, 'b');
    store.complete('b', dead, 'f', outcome(1), 1000);
    store.renew('b', dead, 1000);
    store.abandon('b', dead);
    expect(store.begin('b', 'f', 1000).state).toBe('running');
    store.complete('b', second, 'f', outcome(2), 1000);
    store.complete('b', dead, 'f', outcome(1), 1000);
    expect(store.begin('b', 'f', 1000)).toMatchObject({ state: 'done', outcome: { body: new Uint8Array(2) } });
  });

  test('a lease that is renewed begins anew', async () => {
    const clock = new VirtualClock();
    const store = memoryIdempotencyStore({ clock });
    const held = token(store, 'k');
    await clock.advance(999);
    store.renew('k', held, 1000);
    await clock.advance(999);
    expect(store.begin('k', 'f', 1000).state).toBe('running');
    await clock.advance(1);
    expect(store.begin('k', 'f', 1000).state).toBe('new');
  });

  test('a flood of outcomes makes those not asked for longest go, and memory stays within its bounds', () => {
    const store = memoryIdempotencyStore({ max: 300, maxBytes: '500kb' });
    for (let i = 0; i < 5000; i++) {
      store.complete(`k${i}`, token(store, `k${i}`), 'f', outcome(i % 5000), 1e9);
      expect(store.bytes).toBeLessThanOrEqual(500 * 1024);
      expect(store.size).toBeLessThanOrEqual(300);
      if (i > 0) expect(store.begin('k0', 'f', 1000).state).toBe('done');
    }
    expect(store.begin('k1', 'f', 1000).state).toBe('new');
  });

  test('a flood of keys that are held takes none away: begin fails, until leases run out', async () => {
    const clock = new VirtualClock();
    const store = memoryIdempotencyStore({ max: 100, clock });
    for (let i = 0; i < 100; i++) token(store, `k${i}`);
    expect(() => store.begin('one more', 'f', 1000)).toThrow(expect.objectContaining({ code: 'ERR_STORE' }) as Error);
    expect(store.begin('k0', 'f', 1000).state).toBe('running');
    await clock.advance(1000);
    expect(store.begin('one more', 'f', 1000).state).toBe('new');
    expect(store.held).toBe(1);
  });

  test('an outcome that is larger than all there may be is remembered without its answer', () => {
    const store = memoryIdempotencyStore({ maxBytes: '2kb' });
    store.complete('k', token(store, 'k'), 'f', outcome(5000), 1000);
    expect(store.begin('k', 'f', 1000)).toEqual({ state: 'done', outcome: { status: 200, headers: {}, body: undefined } });
  });

  test('a store that does what it likes in any order behaves as one key, one holder, one outcome', () => {
    const key = fc.constantFrom('a', 'b', '__proto__');
    const step = fc.oneof(
      fc.record({ kind: fc.constant('begin' as const), key, fingerprint: fc.constantFrom('f', 'g') }),
      fc.record({ kind: fc.constantFrom('complete' as const, 'abandon' as const, 'renew' as const), key, which: fc.nat(5) }),
      fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 150 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        let now = 0;
        const clock = { now: () => now, setTimeout: () => undefined, clearTimeout: () => undefined };
        const store = memoryIdempotencyStore({ clock, max: 10 });
        interface Model {
          holder?: string;
          until?: number;
          print?: string;
          done?: { print: string; until: number; status: number };
        }
        const model = new Map<string, Model>();
        const tokens: { key: string; token: string; print: string }[] = [];
        const stateOf = (each: string): Model => model.get(each) ?? {};
        for (const [at, each] of steps.entries()) {
          if (each.kind === 'wait') {
            now += each.ms;
          } else if (each.kind === 'begin') {
            const { holder, until = 0, print, done } = stateOf(each.key);
            const got = store.begin(each.key, each.fingerprint, 100);
            if (done !== undefined && now < done.until) {
              expect(got).toMatchObject(
                done.print === each.fingerprint ? { state: 'done', outcome: { status: done.status } } : { state: 'mismatch' },
              );
            } else if (holder !== undefined && now < until) {
              expect(got.state).toBe(print === each.fingerprint ? 'running' : 'mismatch');
            } else {
              if (got.state !== 'new') throw new Error(`expected new, got ${got.state}`);
              tokens.push({ key: each.key, token: got.token, print: each.fingerprint });
              model.set(each.key, { holder: got.token, until: now + 100, print: each.fingerprint });
            }
          } else {
            const own = tokens.filter((one) => one.key === each.key)[each.which];
            if (own === undefined) continue;
            const { key: about, token: holder, print } = own;
            const state = stateOf(about);
            if (each.kind === 'complete') {
              store.complete(about, holder, print, { ...outcome(), status: at }, 120);
              if (state.holder === holder || (state.holder === undefined && state.done === undefined))
                model.set(about, { done: { print, until: now + 120, status: at } });
            } else if (each.kind === 'abandon') {
              store.abandon(about, holder);
              if (state.holder === holder) model.delete(about);
            } else {
              store.renew(about, holder, 100);
              if (state.holder === holder) state.until = now + 100;
            }
          }
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('ten thousand hostile keys', () => {
  test('each is decided on, nothing is thrown, and what is kept is bounded', { timeout: 60_000 }, async () => {
    const store = memoryIdempotencyStore({ max: 500, maxBytes: '100kb' });
    const decides = new Idempotency<object>({ store, required: true });
    const nasty = fc.constantFrom('"', '\\', ';', '=', ',', ' ', '\0', '__proto__', 'constructor', 'toString', 'a', '7', 'ü', '\ud800');
    const hostile = fc.oneof(
      fc.constantFrom('__proto__', '"__proto__"', 'constructor', 'hasOwnProperty', '', '""', 'x'.repeat(16_000)),
      fc.array(nasty, { maxLength: 30 }).map((parts) => parts.join('')),
      fc.string({ maxLength: 300 }),
      fc.uuid(),
    );
    const kinds = new Set<string>();
    await fc.assert(
      fc.asyncProperty(hostile, async (key) => {
        const decision = await decides.decide({}, { method: 'POST', authority: '', url: '/', headers: { 'idempotency-key': key } });
        kinds.add(decision.kind === 'answer' ? String(decision.reply.status) : decision.kind);
        if (decision.kind === 'run') decision.attempt.watchWeb(new Response(null, { status: 204 }));
        else if (decision.kind === 'answer') expect([400, 204]).toContain(decision.reply.status);
        expect(store.size).toBeLessThanOrEqual(500);
        expect(store.bytes).toBeLessThanOrEqual(100 * 1024);
      }),
      { numRuns: 10_000 },
    );
    expect([...kinds].sort()).toEqual(['204', '400', 'run']);
    expect(store.held).toBe(0);
  });
});
