/** What the compiler knows about retries, timeouts, hedges, circuit breakers and modes. Nothing here runs: `npm run types` compiles it. */

import {
  type Call,
  type Classification,
  type CircuitReading,
  type Mode,
  type RacingTimeout,
  type Retry,
  type RetryBudget,
  type Settled,
  type Timeout,
  bulkhead,
  circuitBreaker,
  fallback,
  hedge,
  perKey,
  pipeline,
  presets,
  retry,
  retryBudget,
  timeout,
} from 'breakwater';
import { typed } from './equal.ts';

interface Item {
  readonly id: number;
}

const item = (): Promise<Item> => Promise.resolve({ id: 1 });

export function functionsOfARetrySeeTheResult(): void {
  const careful = retry<Item>({
    when: (outcome, { call, attempt }) => {
      typed(outcome).is<Settled<Item>>();
      typed(call).is<Call>();
      typed(attempt).is<number>();
      return Promise.resolve(!outcome.ok || outcome.value.id === 0);
    },
    delayFor: (outcome, { attempt }) => {
      if (outcome.ok) typed(outcome.value).is<Item>();
      return attempt > 3 ? false : undefined;
    },
    classify: (outcome, call) => {
      if (outcome.ok) typed(outcome.value.id).is<number>();
      return call.attempt > 1 ? 'ignored' : { retryable: false };
    },
  });
  typed(careful).is<Retry<Item>>();
  void pipeline([careful]).execute(item);
  // @ts-expect-error its functions look at an item
  void pipeline([careful]).execute(() => 'text');
  typed(retry()).is<Retry<unknown>>();
  // @ts-expect-error a delay is a number, undefined or false
  retry({ delayFor: () => '1s' });
  // @ts-expect-error a verdict is one of three, or some of the flags
  retry({ classify: () => 'bad' });
  // @ts-expect-error there is no such flag
  retry({ classify: () => ({ again: true }) });
}

export function aBackoffIsAScheduleAListOrAFunction(): void {
  retry({ backoff: { kind: 'fibonacci', delay: '50ms', jitter: 'decorrelated-v2', firstRetryFast: true } });
  retry({ backoff: { delays: [10, '1s'] } });
  retry({ backoff: [10, '1s', '1.5m'] });
  retry({
    backoff: (n) => {
      typed(n).is<number>();
      return n * 10;
    },
  });
  // @ts-expect-error a unit is needed
  retry({ backoff: ['10'] });
  // @ts-expect-error a function answers with ms
  retry({ backoff: () => '10ms' });
  // @ts-expect-error an unknown growth
  retry({ backoff: { kind: 'quadratic' } });
}

export function aBudgetIsSharedOrDescribedOrFalse(): void {
  const shared = retryBudget({ kind: 'tokens', max: 100, cost: 5 });
  typed(shared).is<RetryBudget>();
  retry({ budget: shared });
  hedge({ budget: shared });
  retry({ budget: false });
  hedge({ budget: false });
  retry({ budget: { ratio: 0.1, minPerSecond: 1, ttl: '5s' } });
  retry({ budget: { kind: 'concurrent', minConcurrent: 1 } });
  retry({ budget: { kind: 'grpc', maxTokens: 10, tokenRatio: 0.1 } });
  // @ts-expect-error a tank of tokens has no ratio
  retry({ budget: { kind: 'tokens', ratio: 0.1 } });
  // @ts-expect-error a share of the calls under way has no time to live
  retryBudget({ kind: 'concurrent', ttl: '1s' });
  // @ts-expect-error an unknown kind
  retryBudget({ kind: 'leaky' });
  // @ts-expect-error true says nothing about how much
  retry({ budget: true });
  // @ts-expect-error a hedge is given a budget, not its options
  hedge({ budget: { ratio: 0.1 } });
}

export function onlyATimeoutThatRacesIsAGate(wide: 'race' | 'cooperative'): void {
  const racing = timeout({ after: '1s' });
  typed(racing).is<RacingTimeout>();
  typed(timeout({ after: '1s', strategy: 'race', grace: 0 })).is<RacingTimeout>();
  typed(timeout({ after: (call) => (typed(call).is<Call>(), call.remaining() / 2) })).is<RacingTimeout>();
  typed(timeout({ adaptive: {} })).is<RacingTimeout>();
  typed(timeout({ after: '1s', adaptive: { quantile: 0.99, max: '10s' } })).is<RacingTimeout>();
  perKey(() => timeout({ after: '1s' }));
  perKey(() => bulkhead({ maxConcurrent: 1 }));
  typed(timeout({ after: '1s', strategy: 'cooperative' })).is<Timeout>();
  typed(timeout({ after: '1s', grace: '1s' })).is<Timeout>();
  typed(timeout({ after: '1s', strategy: wide })).is<Timeout>();
  // @ts-expect-error one that waits for the work holds no pass
  perKey(() => timeout({ after: '1s', strategy: 'cooperative' }));
  // @ts-expect-error nor one that lets it clean up
  perKey(() => timeout({ after: '1s', grace: '1s' }));
  // @ts-expect-error either `after` or `adaptive` says how long
  timeout({ strategy: 'race' });
  // @ts-expect-error what is learned has no such option
  timeout({ adaptive: { p: 99 } });
}

export async function aHedgeThatRunsSomethingElseWidensTheResult(): Promise<void> {
  typed(await pipeline([hedge({ idempotent: true })]).execute(item)).is<Item>();
  const elsewhere = hedge<Item, 'stale'>({
    action: (n, call) => {
      typed(n).is<number>();
      typed(call).is<Call>();
      return n > 1 ? null : () => Promise.resolve('stale');
    },
    accept: (outcome, call) => {
      typed(outcome).is<Settled<Item>>();
      typed(call).is<Call>();
      return outcome.ok;
    },
    delay: (n, call) => n * call.attempt,
  });
  typed(await pipeline([elsewhere]).execute(item)).is<Item | 'stale'>();
  // @ts-expect-error `accept` looks at an item
  void pipeline([elsewhere]).execute(() => 7);
  typed(await pipeline([hedge({ action: () => () => 0n })]).execute(item)).is<Item | bigint>();
  typed(await pipeline([fallback({ value: null }), hedge({ action: () => () => 0n })]).execute(item)).is<Item | bigint | null>();
  // @ts-expect-error the retry's predicate would meet what the hedge adds
  pipeline([retry<Item>({ when: () => false }), elsewhere]);
  // @ts-expect-error the answer of `accept` is a yes or a no
  hedge({ accept: () => 'yes' });
  // @ts-expect-error that no call may run twice is what hedges begin with
  hedge({ idempotent: false });
}

export function functionsOfABreakerSeeWhatTheyJudge(): void {
  const breaker = circuitBreaker<Response>({
    classify: (outcome) => {
      if (outcome.ok) typed(outcome.value).is<Response>();
      const flags: Partial<Classification> = { verdict: 'failure', throttled: true, retryAfter: 100 };
      return flags;
    },
    isFailure: (outcome, call) => {
      typed(call).is<Call>();
      if (!outcome.ok) return 'ignored';
      return outcome.value.status >= 500;
    },
    tripWhen: (circuit) => {
      typed(circuit).is<CircuitReading>();
      return circuit.calls > 3;
    },
    openFor: (openCount, circuit, failure) => {
      typed(circuit).is<CircuitReading>();
      typed(failure).is<unknown>();
      return openCount * 1000;
    },
  });
  void pipeline([breaker]).execute(() => fetch('http://localhost'));
  // @ts-expect-error it judges responses
  void pipeline([breaker]).execute(item);
  // @ts-expect-error 'maybe' is no answer
  circuitBreaker({ isFailure: () => 'maybe' });
  // @ts-expect-error a circuit opens or does not
  circuitBreaker({ tripWhen: () => 'ignored' });
}

export function aModeIsAWordAShareOrAFunctionOfTheCall(): void {
  const modes: readonly Mode[] = ['enforce', 'shadow', 'off', 0.25, (call) => (call.key === 'a' ? 'shadow' : 0.5)];
  for (const mode of modes) {
    retry({ mode });
    timeout({ after: 1, mode });
    hedge({ mode });
    circuitBreaker({ mode });
    fallback({ value: 1, mode });
  }
  // @ts-expect-error no such mode
  retry({ mode: 'dark' });
  // @ts-expect-error yes and no are no modes
  hedge({ mode: () => true });
}

export async function presetsAreParts(): Promise<void> {
  const [whole, again, ...inner] = presets.http({ retry: { maxAttempts: 2 } });
  typed(whole).is<Timeout>();
  typed(again).is<Retry<unknown>>();
  const edited = pipeline([fallback({ value: 'none' }), whole, retry<Item>({ when: (o) => o.ok && o.value.id < 0 }), ...inner]);
  typed(await edited.execute(item)).is<Item | 'none'>();
  // @ts-expect-error the retry put in looks at an item
  void edited.execute(() => true);
  typed(await pipeline([...presets.hedgedHttp(), timeout({ after: 1 })]).execute(item)).is<Item>();
}
