import fc from 'fast-check';
import { expect, test } from 'vitest';
import '../support/properties.ts';
import { type ThrottlePass, Throttling, type ThrottlingSettings, rejectionProbability } from '../../src/algorithms/throttling.ts';

const CLASSES = 3;
const settings: fc.Arbitrary<ThrottlingSettings> = fc.record({
  k: fc.double({ min: 1, max: 4, noNaN: true }),
  aggression: fc.constantFrom(1, 1, 2, 5),
  window: fc.constantFrom(100, 1000),
  buckets: fc.constantFrom(1, 4, 20),
  minRequests: fc.nat(6),
  maxRejection: fc.constantFrom(0.5, 0.9, 1),
  localRejections: fc.boolean(),
  probeInterval: fc.constantFrom(10, 100, Infinity),
  overdueAfter: fc.constantFrom(0, 30, 1000, Infinity),
});
const step = fc.record({
  do: fc.constantFrom('come', 'come', 'come', 'settle', 'forget', 'giveBack', 'wait', 'goBack'),
  place: fc.nat(CLASSES - 1),
  accepted: fc.boolean(),
  u: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
  ms: fc.nat(120),
});

test('whatever happens, the probability is within [0, 1], and a window after the last call all is forgotten (A4)', () => {
  fc.assert(
    fc.property(settings, fc.array(step, { maxLength: 80 }), (given, steps) => {
      const it = new Throttling(given, CLASSES);
      const under: ThrottlePass[] = [];
      let now = 50;
      let latest = now;
      for (const { do: what, place, accepted, u, ms } of steps) {
        if (what === 'wait') now += ms;
        else if (what === 'goBack') now -= ms;
        else if (what === 'come') {
          const p = it.probability(place, now);
          expect(p).toBeGreaterThanOrEqual(0);
          expect(p).toBeLessThanOrEqual(1);
          if (p > 0 && it.untilProbe(place, now) > 0 && it.draws(place, p, Math.floor(u * 100), u)) it.refuse(place, now);
          else under.push(it.pass(place, now, undefined));
        } else {
          const pass = under.splice(Math.floor(u * under.length), 1)[0];
          if (pass === undefined) continue;
          if (what === 'settle') it.settle(pass, accepted, now);
          else it[what](pass);
        }
        latest = Math.max(latest, now);
        expect(it.pending).toBe(under.length);
        for (const account of it.accounts) {
          expect(account?.window.requests ?? 0).toBeGreaterThanOrEqual(0);
          expect(account?.window.accepts ?? 0).toBeGreaterThanOrEqual(0);
        }
      }
      for (const pass of under.splice(0)) it.forget(pass);
      const later = latest + given.window + 1000;
      for (let place = 0; place < CLASSES; place++) {
        expect(it.probability(place, later)).toBe(0);
        expect(it.accounts[place]?.window.requests ?? 0).toBe(0);
        expect(it.accounts[place]?.window.accepts ?? 0).toBe(0);
      }
    }),
  );
});

test('the formula: none beyond k requests for each accepted, never above 1, more with more requests and less with more accepts', () => {
  const n = fc.nat(1_000_000);
  fc.assert(
    fc.property(n, n, fc.double({ min: 1, max: 10, noNaN: true }), (requests, accepts, k) => {
      const p = rejectionProbability(requests, accepts, k);
      expect(p).toBeGreaterThanOrEqual(0);
      expect(p).toBeLessThan(1);
      expect(p === 0).toBe(requests <= k * accepts);
      expect(rejectionProbability(requests + 1, accepts, k)).toBeGreaterThanOrEqual(p);
      expect(rejectionProbability(requests, accepts + 1, k)).toBeLessThanOrEqual(p);
    }),
  );
});
