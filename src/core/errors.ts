/**
 * The error family. Callers need one distinction, and it is in the tree: {@link RejectedError} means the work never
 * started (safe to try elsewhere), {@link TimeoutError} means it started and was abandoned. Match on `code`; `instanceof`
 * works too, also across two copies of the package in one process.
 */

/** Where an error came from and what it carries. Every field is optional. */
export interface ErrorDetails {
  /** Name of the pipeline the error was made in. */
  readonly pipeline?: string | undefined;
  /** Name of the policy that made it. */
  readonly policy?: string | undefined;
  /** Key of the call, if it had one. */
  readonly key?: string | undefined;
  /** What led to it. */
  readonly cause?: unknown;
}

/** Details of a refusal. */
export interface RefusalDetails extends ErrorDetails {
  /** Milliseconds after which a new call has a chance, where that is known; `Infinity`: never, such as one that costs more than a limit ever holds. */
  readonly retryAfter?: number | undefined;
}

/** Base of everything this library throws by itself. The error of your own work is never wrapped. */
export class ResilienceError extends Error {
  /** Stable and part of the public API. */
  readonly code: string = 'ERR_RESILIENCE';
  readonly pipeline: string | undefined;
  readonly policy: string | undefined;
  readonly key: string | undefined;

  constructor(message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.pipeline = details.pipeline;
    this.policy = details.policy;
    this.key = details.key;
  }

  /** For logs. */
  toJSON(): object {
    return Object.assign({ name: this.name, message: this.message }, this);
  }

  /** True for instances made by any copy of this package; plain prototype test for classes derived by users. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    const brand = Object.hasOwn(this, 'brand') ? (this as unknown as { readonly brand: symbol }).brand : undefined;
    if (brand === undefined) return Function.prototype[Symbol.hasInstance].call(this, value);
    return typeof value === 'object' && value !== null && brand in value;
  }
}

/** One wrong option. */
export interface OptionProblem {
  /** Where it stands, for instance `retry.backoff.delay`. */
  readonly path: string;
  /** What would have been right. */
  readonly expected: string;
  /** What was given, shortened. */
  readonly got: string;
}

/** Options that cannot work; thrown at construction with all problems at once. */
export class OptionsError extends ResilienceError {
  override readonly code = 'ERR_OPTIONS';
  readonly problems: readonly OptionProblem[];
  /** Path of the first problem. */
  readonly path: string;
  /** What the first problem's option expects. */
  readonly expected: string;
  /** What it got. */
  readonly got: string;

  constructor(problems: readonly [OptionProblem, ...OptionProblem[]]) {
    super(problems.map(({ path, expected, got }) => `${path}: expected ${expected}, got ${got}`).join('; '));
    this.problems = problems;
    this.path = problems[0].path;
    this.expected = problems[0].expected;
    this.got = problems[0].got;
  }
}

/** The work never started: safe to try elsewhere, answer 429 or 503. */
export class RejectedError extends ResilienceError {
  override readonly code: string = 'ERR_REJECTED';
  /** Milliseconds after which a new call has a chance, where that is known; `Infinity`: never, such as one that costs more than a limit ever holds. */
  readonly retryAfter: number | undefined;

  constructor(message: string, details: RefusalDetails = {}) {
    super(message, details);
    this.retryAfter = details.retryAfter;
  }
}

/** Details of a refusal by a circuit. */
export interface CircuitOpenDetails extends RefusalDetails {
  readonly state?: 'open' | 'half-open' | 'closed' | undefined;
  readonly reason?: 'open' | 'half-open' | 'waited' | 'ramp' | undefined;
  readonly openedAt?: number | undefined;
}

/** The circuit is open, half-open with all its probes out, or has closed and lets only some calls in; `cause` is the last failure it counted. */
export class CircuitOpenError extends RejectedError {
  override readonly code = 'ERR_CIRCUIT_OPEN';
  /** Where the circuit stands. */
  readonly state: 'open' | 'half-open' | 'closed';
  /** What the call met: an open circuit, all probes taken, the end of its wait for a place (`waited`), or the ramp after closing. */
  readonly reason: 'open' | 'half-open' | 'waited' | 'ramp';
  /** When the circuit last opened, epoch ms. */
  readonly openedAt: number | undefined;

  constructor(message: string, details: CircuitOpenDetails = {}) {
    super(message, details);
    this.state = details.state ?? 'open';
    this.reason = details.reason ?? 'open';
    this.openedAt = details.openedAt;
  }
}

/** The circuit was isolated by hand. */
export class CircuitIsolatedError extends RejectedError {
  override readonly code = 'ERR_CIRCUIT_ISOLATED';
}

/** All slots of a bulkhead are taken and its queue, if it has one, is full. */
export class BulkheadFullError extends RejectedError {
  override readonly code = 'ERR_BULKHEAD_FULL';
}

/** The call waited its longest time in a queue; the work never ran. */
export class QueueTimeoutError extends RejectedError {
  override readonly code = 'ERR_QUEUE_TIMEOUT';
}

/** A rate limit is used up; `retryAfter` says when the next call fits. */
export class RateLimitedError extends RejectedError {
  override readonly code = 'ERR_RATE_LIMITED';
}

/** Client-side throttling turned the call away. */
export class ThrottledError extends RejectedError {
  override readonly code = 'ERR_THROTTLED';
}

/** The process itself is overloaded. */
export class OverloadedError extends RejectedError {
  override readonly code = 'ERR_OVERLOADED';
}

/** The caller's deadline passed before the work could start. */
export class DeadlineExceededError extends RejectedError {
  override readonly code = 'ERR_DEADLINE';
}

/** The feature is at a level that refuses (see `degrade`). */
export class DegradedError extends RejectedError {
  override readonly code = 'ERR_DEGRADED';
}

/** Calls of this origin are not let in (see `authority`). */
export class OriginDeniedError extends RejectedError {
  override readonly code = 'ERR_ORIGIN_DENIED';
}

/** The pipeline was closed. */
export class ShutdownError extends RejectedError {
  override readonly code = 'ERR_SHUTDOWN';
}

/** Details of a timeout. */
export interface TimeoutDetails extends ErrorDetails {
  readonly after: number;
  readonly started?: boolean | undefined;
  readonly loopStalled?: boolean | undefined;
}

/** The work ran out of time and was abandoned; it had started, unless `started` says no. */
export class TimeoutError extends ResilienceError {
  override readonly code = 'ERR_TIMEOUT';
  /** The limit that was exceeded, ms. */
  readonly after: number;
  /** False if the time ran out before the work began, for instance in a queue: it never ran. */
  readonly started: boolean;
  /** True if the event loop of this process was blocked when the time ran out: the work may not have been slow at all. */
  readonly loopStalled: boolean;

  constructor(message: string, details: TimeoutDetails) {
    super(message, details);
    this.after = details.after;
    this.started = details.started ?? true;
    this.loopStalled = details.loopStalled ?? false;
  }
}

/** A retry gave up on a result that it was told to retry, or was told to wrap errors (`onExhausted`); the `cause` is the last error, if there was one. */
export class RetryExhaustedError extends ResilienceError {
  override readonly code = 'ERR_RETRY_EXHAUSTED';
  /** How often the work ran. */
  readonly attempts: number;
  /** The last result, if the work answered. */
  readonly value: unknown;
  /** The last hundred errors, if they were to be wrapped. */
  readonly errors: readonly unknown[];

  constructor(message: string, details: ErrorDetails & Pick<RetryExhaustedError, 'attempts' | 'value' | 'errors'>) {
    super(message, details);
    ({ attempts: this.attempts, value: this.value, errors: this.errors } = details);
  }
}

/** Another attempt of the same call answered first. Only the work of the attempts that lost gets to see it, as the reason of its signal. */
export class HedgeLostError extends ResilienceError {
  override readonly code = 'ERR_HEDGE_LOST';
}

/** A store that holds shared state failed. */
export class StoreError extends ResilienceError {
  override readonly code = 'ERR_STORE';
}

const family = {
  ResilienceError,
  OptionsError,
  RejectedError,
  CircuitOpenError,
  CircuitIsolatedError,
  BulkheadFullError,
  QueueTimeoutError,
  RateLimitedError,
  ThrottledError,
  OverloadedError,
  DeadlineExceededError,
  DegradedError,
  OriginDeniedError,
  ShutdownError,
  TimeoutError,
  RetryExhaustedError,
  HedgeLostError,
  StoreError,
};

for (const [name, type] of Object.entries(family)) {
  const brand = Symbol.for(`breakwater.${name}`);
  Object.defineProperty(type, 'brand', { value: brand });
  Object.defineProperty(type.prototype, brand, { value: true });
  Object.defineProperty(type.prototype, 'name', { value: name, configurable: true, writable: true });
}
