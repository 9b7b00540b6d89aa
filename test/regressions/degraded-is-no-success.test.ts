import { describe, expect, test } from 'vitest';
import { type Policy, circuitBreaker, degrade, fallback, pipeline, retry, retryBudget, switchboard } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

const failing = (): Promise<never> => Promise.reject(new Error('down'));

/** Policies that answer in place of the work. */
const answering: Readonly<Record<string, () => Policy<unknown, unknown>>> = {
  'a fallback': () => fallback({ value: 'spare' }),
  'a fallback that computes': () => fallback({ run: async () => 'spare' }),
  'a tier': () => fallback({ tiers: [{ run: failing }, { value: 'spare' }] }),
  'a switch at a lesser level': () => {
    const hints = degrade({ feature: 'hints', board: switchboard(), levels: ['full', { name: 'off', value: 'spare' }] });
    hints.set('off');
    return hints;
  },
  'a switch whose work does less': () => {
    const hints = degrade({ feature: 'hints', board: switchboard(), levels: ['full', { name: 'light', work: true }, 'off'] });
    hints.set('light');
    return pipeline([hints, fallback({ value: 'spare' })], { name: 'light' });
  },
};

describe.each(Object.entries(answering))(
  'what %s answers is no proof of health (b11: never counted as success by outer layers by accident)',
  (_, make) => {
    test('a half-open circuit is not closed by it', async () => {
      const clock = new VirtualClock();
      const breaker = circuitBreaker({ consecutiveFailures: 1, openFor: '1s', halfOpen: { calls: 1 } });
      await pipeline([breaker], { clock }).executeOutcome(failing);
      await clock.advance('1s');
      const covered = pipeline<readonly Policy<unknown, unknown>[]>([breaker, make()], { clock });
      for (let i = 0; i < 5; i++) expect(await covered.execute(failing)).toBe('spare');
      expect(breaker.state).toBe('half-open');
      await pipeline([breaker], { clock }).execute(() => 'well');
      expect(breaker.state).toBe('closed');
    });

    test('a retry budget earns nothing by it', async () => {
      const budget = retryBudget({ kind: 'grpc', maxTokens: 10, tokenRatio: 1 });
      const clock = new VirtualClock();
      const bare = pipeline([retry({ budget, maxAttempts: 1 })], { clock });
      for (let i = 0; i < 4; i++) await bare.executeOutcome(failing);
      const left = budget.balance;
      expect(left).toBeLessThan(10);
      const covered = pipeline<readonly Policy<unknown, unknown>[]>([retry({ budget, maxAttempts: 1 }), make()], { clock });
      for (let i = 0; i < 4; i++) expect(await covered.execute(failing)).toBe('spare');
      expect(budget.balance).toBe(left);
      await bare.execute(() => 'well');
      expect(budget.balance).toBeGreaterThan(left);
    });
  },
);
