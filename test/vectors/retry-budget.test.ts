import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type RetryBudget, pipeline, retry, retryBudget } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { type VectorFile, replay } from './replay.mjs';

interface Config {
  readonly kind: 'grpc' | 'awsStandard' | 'finagle' | 'tower' | 'failsafeBudget';
  readonly maxTokens: number;
  readonly tokenRatio: number;
  readonly maxAttempts: number;
  readonly tokens: number;
  readonly costTransient: number;
  readonly costThrottle: number;
  readonly refundNoRetry: number;
  readonly baseTransientMs: number;
  readonly baseThrottleMs: number;
  readonly capMs: number;
  readonly ttlSec: number;
  readonly minPerSec: number;
  readonly percent: number;
  readonly ttlMs: number;
  readonly maxRate: number;
  readonly minConcurrency: number;
  readonly executions: number;
  readonly inflight: number;
}

interface Step {
  readonly op: string;
  readonly at?: number;
  readonly count?: number;
  readonly status?: number;
}

type Adapted = { step(s: Step): object | Promise<object> };

function grpc({ maxTokens, tokenRatio }: Config): Adapted {
  const budget = retryBudget({ kind: 'grpc', maxTokens, tokenRatio });
  return {
    step({ op }) {
      budget.attempted(op === 'success' ? 'success' : op === 'failureNotRetryable' ? 'ignored' : 'failure');
      return { tokens: budget.balance, mayRetry: budget.withdraw(0, 'failure') };
    },
  };
}

/** Requests, deposits and withdrawals on a budget by the ratio of calls. */
function byRatio(budget: RetryBudget): Adapted {
  return {
    step({ op, at = 0, count = 1 }) {
      let retried = 0;
      for (let i = 0; i < (op === 'withdraw' ? 0 : count); i++) {
        budget.started(at);
        if (op === 'requestsEachTryRetry' && budget.withdraw(at, 'failure')) retried++;
      }
      return op === 'withdraw' ? { ok: budget.withdraw(at, 'failure') } : { retried, balance: budget.balance };
    },
  };
}

function failsafe({ maxRate, minConcurrency, executions, inflight }: Config): Adapted {
  const budget = retryBudget({ kind: 'concurrent', ratio: maxRate, minConcurrent: minConcurrency });
  for (let i = 0; i < executions; i++) budget.started(0);
  for (let i = 0; i < inflight; i++) budget.withdraw(0, 'failure');
  return {
    step({ op }) {
      if (op === 'acquire') return { ok: budget.withdraw(0, 'failure') };
      budget.attempted('failure', 'failure');
      return {};
    },
  };
}

/** Calls whose attempts are answered one by one, through a pipeline. */
function awsStandard(config: Config): Adapted {
  const { maxAttempts, tokens, costTransient, costThrottle, refundNoRetry, baseTransientMs, baseThrottleMs, capMs } = config;
  const clock = new VirtualClock();
  const budget = retryBudget({
    kind: 'tokens',
    max: tokens,
    cost: costTransient,
    timeoutCost: costTransient,
    throttledCost: costThrottle,
    successRefill: refundNoRetry,
    refillPerSecond: 0,
  });
  let answer: ((response: object) => void) | undefined;
  let last: object = {};
  const steady = pipeline(
    [
      retry<{ status: number }>({
        maxAttempts,
        budget,
        delayFor: (outcome, { attempt }) =>
          Math.min(capMs, (outcome.ok && outcome.value.status === 429 ? baseThrottleMs : baseTransientMs) * 2 ** (attempt - 1)),
      }),
    ],
    { clock },
  );
  steady.on('retry.scheduled', ({ delay }) => (last = { outcome: 'retry', delayMs: delay }));
  steady.on('retry.gave-up', ({ reason }) => (last = { outcome: reason === 'budget' ? 'quota' : 'maxAttempts' }));
  return {
    async step({ status }) {
      if (answer === undefined) {
        last = { outcome: 'success' };
        void steady.executeOutcome(() => new Promise<{ status: number }>((resolve) => (answer = resolve as typeof answer)));
      }
      const respond = answer as unknown as (response: object) => void;
      answer = undefined;
      respond({ status, headers: {} });
      await clock.advance(0);
      const found = { ...last, quota: budget.balance };
      await clock.runAll();
      last = { outcome: 'success' };
      return found;
    },
  };
}

const adapter = {
  make(config: Config): Adapted {
    switch (config.kind) {
      case 'grpc':
        return grpc(config);
      case 'awsStandard':
        return awsStandard(config);
      case 'finagle':
        return byRatio(retryBudget({ ratio: config.percent, minPerSecond: config.minPerSec, ttl: config.ttlSec * 1000 }));
      case 'tower':
        return byRatio(retryBudget({ ratio: config.percent, minPerSecond: config.minPerSec, ttl: config.ttlMs }));
      case 'failsafeBudget':
        return failsafe(config);
    }
  },
};

test('third-party vectors 19: retry budgets of gRPC, AWS, Finagle, Tower and failsafe-go', async () => {
  const file = JSON.parse(readFileSync(new URL('19-retry-budget.json', import.meta.url), 'utf8')) as VectorFile;
  const result = await replay(file, adapter, { has: () => true });
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(file.cases.length);
});
