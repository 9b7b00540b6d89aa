/** The face of the package: policies, pipelines, and what is needed to write your own. */

export { pipeline, type Pipeline } from './core/pipeline.ts';
export type { PipelineOptions } from './core/pipeline-options.ts';
export type { Quota, QuotaOptions } from './core/quota.ts';
export { definePolicy, fromMiddleware, type DriverDefinition, type GateDefinition, type Middleware } from './core/define.ts';
export type { CallOptions } from './core/call-options.ts';
export { isPriority, priorities, type Priority } from './core/priority.ts';
export type { Call, Work } from './core/call.ts';
export type { Classification, Classifier } from './core/classification.ts';
export type { Clock, Random, TimerHandle } from './core/clock.ts';
export { currentCall, currentDeadline, currentPriority } from './core/context.ts';
export type { Mode, ModeName, PolicyOptions } from './core/mode.ts';
export type { Duration } from './core/options.ts';
export type { Admission, Refusal } from './core/admission.ts';
export type { Advice } from './core/lint.ts';
export type { LayerDescription } from './core/compose.ts';
export type { AnyEvent, EventFields, EventOf, Level, Listener, Off, PipelineEvent } from './core/events.ts';
export { Failure, isFailure, refuse, verdictOf, type FailureKind, type Outcome, type Settled, type Verdict } from './core/outcome.ts';
export type { AnyPolicy, GatePolicy, Handler, PlainData, Policy, ReactionPolicy } from './core/policy.ts';
export type { Gate, Narrowing, Reaction } from './core/stage.ts';
export type { Scope } from './core/scope.ts';
export {
  BulkheadFullError,
  CircuitIsolatedError,
  CircuitOpenError,
  DeadlineExceededError,
  DegradedError,
  HedgeLostError,
  OptionsError,
  OriginDeniedError,
  OverloadedError,
  QueueTimeoutError,
  RateLimitedError,
  RejectedError,
  ResilienceError,
  RetryExhaustedError,
  ShutdownError,
  StoreError,
  ThrottledError,
  TimeoutError,
  type CircuitOpenDetails,
  type ErrorDetails,
  type OptionProblem,
  type RefusalDetails,
  type TimeoutDetails,
} from './core/errors.ts';

export { bulkhead, type Bulkhead, type BulkheadOptions, type BulkheadSnapshot } from './policies/bulkhead.ts';
export { chaos, type BrokenBodyOptions, type Chaos, type ChaosOptions, type ChaosWindow } from './policies/chaos.ts';
export type { InjectionName, RefusalName } from './policies/chaos/injections.ts';
export { circuitBreaker, type CircuitBreaker, type CircuitBreakerOptions } from './policies/circuit-breaker.ts';
export type { CircuitControls, Isolation } from './stores/circuit/controls.ts';
export type { HalfOpenSettings } from './stores/circuit/line.ts';
export type { OpenFor, TripTest } from './stores/circuit/questions.ts';
export type { RecoveryProbe, RecoverySettings } from './stores/circuit/recovery.ts';
export type {
  CircuitChange,
  CircuitMemory,
  CircuitReading,
  CircuitReason,
  CircuitSnapshot,
  CircuitState,
  CircuitSymptom,
  SlowSettings,
  WarmUpSettings,
} from './algorithms/circuit-state.ts';
export type { RampSettings } from './algorithms/ramp.ts';
export type { CallEwmaSettings, CountWindowSettings, TimeEwmaSettings, TimeWindowSettings } from './algorithms/windows.ts';
export type { FailureTest } from './core/judgement.ts';
export { degrade, defaultSwitchboard, switchboard, type Degrade, type DegradeOptions } from './policies/degrade.ts';
export type { AutomaticOptions, LoadOptions } from './stores/switchboard/automatic-options.ts';
export type { DegradeLevel } from './policies/degrade/lesser-level.ts';
export type { FeatureCause, FeatureKind, FeatureState, LevelChange } from './stores/switchboard/feature-switch.ts';
export type { OrderOptions, SwitchboardAction, SwitchboardEntry } from './stores/switchboard/order-book.ts';
export type {
  DegradePlan,
  LevelHold,
  PlanState,
  Remark,
  Switchboard,
  SwitchboardOptions,
  SwitchboardSnapshot,
} from './stores/switchboard/switchboard.ts';
export { fallback, type Fallback, type FallbackOptions, type FallbackTier } from './policies/fallback.ts';
export type { Covered } from './policies/fallback/covering-tier.ts';
export type { SuppressionReason } from './policies/hedge/rules.ts';
export { hedge, hedgeErrors, type Hedge, type HedgeDelay, type HedgeOptions, type LearnedDelayOptions } from './policies/hedge.ts';
export { retry, type BackoffOptions, type Retry, type RetryAfterOptions, type RetryOptions } from './policies/retry.ts';
export type { GiveUpReason, RetryContext } from './policies/retry/rules.ts';
export { attemptsOf } from './policies/retry/news.ts';
export { retryBudget, type RetryBudget } from './stores/retry-budget.ts';
export type {
  BudgetKind,
  ConcurrentBudgetOptions,
  GrpcBudgetOptions,
  RatioBudgetOptions,
  RetryBudgetOptions,
  TokenBudgetOptions,
} from './stores/budget-kinds.ts';
export type { ExtraCause } from './algorithms/retry-budget.ts';
export { timeout, type AdaptiveTimeoutOptions, type RacingTimeout, type Timeout, type TimeoutOptions } from './policies/timeout.ts';
export {
  adaptiveLimiter,
  type AdaptiveLimiter,
  type AdaptiveLimiterOptions,
  type AdaptiveLimiterSnapshot,
} from './policies/adaptive-limiter.ts';
export type { LimitAlgorithmOptions } from './policies/adaptive-limiter/fields.ts';
export {
  priorityThreshold,
  type PriorityThreshold,
  type PriorityThresholdOptions,
  type PriorityThresholdSnapshot,
} from './stores/priority-threshold.ts';
export type { SlotsReading } from './stores/slots/shared-slots.ts';
export type { Waits } from './algorithms/wait-histogram.ts';
export type { QueueOptions, QueueOrder } from './stores/slots/queue-options.ts';
export {
  authority,
  type Authority,
  type AuthorityLists,
  type AuthorityOptions,
  type AuthoritySnapshot,
  type Origins,
} from './policies/authority.ts';
export {
  systemGuard,
  type SystemGuard,
  type SystemGuardCheck,
  type SystemGuardOptions,
  type SystemGuardSnapshot,
  type SystemGuardThresholds,
} from './policies/system-guard.ts';
export type { GuardReading } from './policies/system-guard/conditions.ts';
export type { SystemGuardActions, SystemGuardLevel } from './policies/system-guard/stages.ts';
export type { SystemMonitor, SystemReading, SystemReadings } from './stores/system/readings.ts';
export { throttle, type Throttle, type ThrottleOptions } from './policies/throttle.ts';
export type { AcceptanceTest } from './policies/throttle/acceptance.ts';
export type { ThrottleClass, ThrottleSnapshot } from './policies/throttle/overview.ts';
export { adaptiveRate, type AdaptiveRate, type AdaptiveRateOptions, type AdaptiveRateSnapshot } from './policies/adaptive-rate.ts';
export { composite, type Composite, type CompositeOptions, type CompositeSnapshot } from './policies/composite.ts';
export { fixedWindow, type FixedWindow, type FixedWindowOptions, type FixedWindowSnapshot } from './policies/fixed-window.ts';
export { hotKey, type HotKey, type HotKeyOptions } from './policies/hot-key.ts';
export type { KeysOf } from './policies/hot-key/ids.ts';
export type { HotKeyEntry, HotKeySnapshot } from './policies/hot-key/overview.ts';
export type { KeyLimit } from './policies/hot-key/values.ts';
export { leakyBucket, type LeakyBucket, type LeakyBucketOptions, type LeakyBucketSnapshot } from './policies/leaky-bucket.ts';
export { slidingLog, type SlidingLog, type SlidingLogOptions, type SlidingLogSnapshot } from './policies/sliding-log.ts';
export { slidingWindow, type SlidingWindow, type SlidingWindowOptions, type SlidingWindowSnapshot } from './policies/sliding-window.ts';
export { tokenBucket, type TokenBucket, type TokenBucketOptions, type TokenBucketSnapshot } from './policies/token-bucket.ts';
export { warmUp, type WarmUp, type WarmUpOptions, type WarmUpSnapshot } from './policies/warm-up.ts';
export type { BorrowOptions, LimiterOptions, OutcomeTest } from './stores/limiter/terms.ts';
export type { WindowChange, WindowHandle, WindowOptions } from './stores/limiter/window-limiter.ts';
export { perKey, type PerKey, type PerKeyOptions, type PerKeyStore, type PerKeySnapshot, type Resting } from './policies/per-key.ts';
export { presets } from './presets/presets.ts';
export type { HttpPreset, HttpPresetOptions } from './presets/http.ts';
export type { HedgedHttpPreset, HedgedHttpPresetOptions } from './presets/hedged-http.ts';
export type { ServerPreset, ServerPresetOptions } from './presets/server.ts';
export type { RateLimitPresetOptions } from './presets/rate-limit.ts';
