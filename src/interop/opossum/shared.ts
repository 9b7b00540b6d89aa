import { Audience } from '../../core/audience.ts';
import type { Call } from '../../core/call.ts';
import { systemClock, wallTime } from '../../core/clock.ts';
import type { PlainData } from '../../core/policy.ts';
import { type BreakerCounts, type Inside, fieldOf } from './breaker.ts';
import type { Entry } from './entry.ts';

/** Where a breaker stands. One that is disabled lets all calls pass; one that is shut down refuses all, for good. */
export type OpossumState = 'closed' | 'open' | 'half-open' | 'disabled' | 'shutdown';

/** What made a breaker change: its failures, a probe's outcome, the open time's end, its health check, or somebody's command. */
export type OpossumReason = 'failure-rate' | 'probes' | 'elapsed' | 'health-check' | 'manual';

/** Where it stands, how many calls run and may, how many ms it stays open, and what opossum counts in its window. */
export type OpossumSnapshot = PlainData & {
  readonly state: OpossumState;
  readonly active: number;
  readonly capacity?: number;
  readonly remaining?: number;
  readonly calls: number;
  readonly rejected: number;
} & Omit<BreakerCounts, 'fires' | 'rejects'>;

type Circuit = 'closed' | 'open' | 'half-open';

const known = new WeakMap<Inside, SharedBreaker>();

/** What is known of a breaker beyond what it says itself: one for each, and one set of listeners, in however many policies and pipelines it stands. */
export class SharedBreaker {
  readonly real: Inside;
  readonly audience: Audience = new Audience();
  /** Calls whose answer others may get, by the promise of it. */
  readonly leaders: WeakMap<object, Entry> = new WeakMap();
  /** How often it has half-opened. */
  rounds = 0;
  #circuit: Circuit;
  #openedAt: number | undefined;
  #lastFailure: unknown = undefined;
  #reason: OpossumReason | undefined = undefined;
  /** Whose outcome it is told of. */
  #call: Call | undefined = undefined;

  private constructor(real: Inside, fresh: boolean) {
    this.real = real;
    this.#circuit = circuitOf(real);
    this.#openedAt = fresh && real.opened ? systemClock.now() : undefined;
    real.on('failure', (error: unknown) => (this.#lastFailure = error));
    real.on('healthCheckFailed', this.#unhealthy);
    real.on('open', this.#opened);
    real.on('halfOpen', this.#halfOpened);
    real.on('close', this.#closed);
    real.on('shutdown', () => this.audience.emit('opossum.shut-down', 'info', undefined, {}));
  }

  /** `fresh`: it was made this very moment. */
  static of(real: Inside, fresh = false): SharedBreaker {
    let shared = known.get(real);
    if (shared === undefined) known.set(real, (shared = new SharedBreaker(real, fresh)));
    return shared;
  }

  get state(): OpossumState {
    if (this.real.isShutdown) return 'shutdown';
    return this.real.enabled ? circuitOf(this.real) : 'disabled';
  }

  /** How long it stays open, ms, if that is known: not of one that was open before it came here. */
  get remaining(): number | undefined {
    if (!this.real.opened || this.#openedAt === undefined) return undefined;
    return Math.max(0, Math.ceil(this.real.options.resetTimeout - (systemClock.now() - this.#openedAt)));
  }

  /** When it opened, epoch ms. */
  get openedAt(): number | undefined {
    if (this.#openedAt === undefined) return undefined;
    return Math.round(wallTime(systemClock) - (systemClock.now() - this.#openedAt));
  }

  /** Calls that hold one of its places. */
  get active(): number {
    return this.real.options.capacity - this.real.semaphore.count;
  }

  /** Nobody else gets the answer of this call. */
  forget({ key, answer }: Entry): void {
    const { coalesceCache } = this.real.options;
    if (key !== undefined && coalesceCache?.get(key) === answer) coalesceCache?.delete(key);
  }

  /** Gives a command, so that what follows is known to come of it. */
  command(run: () => void): void {
    this.#reason = 'manual';
    try {
      run();
    } finally {
      this.#reason = undefined;
    }
  }

  /** Tells it of this call, which lends what follows its key. */
  about<T>(call: Call | undefined, tell: () => T): T {
    const before = this.#call;
    this.#call = call;
    try {
      return tell();
    } finally {
      this.#call = before;
    }
  }

  /**
   * The probe has said nothing: the next call is one. Opossum has no word for that; where its own mark of it is not found, the circuit opens again, so that it is tried out after
   * another while and not never.
   */
  tryAgain(): void {
    const mark = fieldOf(this.real, 'pending-close');
    if (mark === undefined) this.command(() => this.real.open());
    else Reflect.set(this.real, mark, true);
  }

  snapshot(): OpossumSnapshot {
    const { fires: calls, rejects: rejected, ...others } = this.#counts();
    const { capacity } = this.real.options;
    const { remaining } = this;
    const bounded = capacity < Number.MAX_SAFE_INTEGER;
    const room = { active: this.active, ...(bounded && { capacity }), ...(remaining !== undefined && { remaining }) };
    return { state: this.state, ...room, calls, rejected, ...others };
  }

  /** Sums of the window, without what opossum would sort of it. */
  #counts(): BreakerCounts {
    const sums = Object.fromEntries(counts.map((name) => [name, 0])) as Record<keyof BreakerCounts, number>;
    for (const part of this.real.status.window) for (const name of counts) sums[name] += part[name] || 0;
    return sums;
  }

  readonly #unhealthy = (error: unknown): void => {
    if (!this.real.opened) this.#reason = 'health-check';
    this.audience.emit('opossum.health-check-failed', 'warn', undefined, { error });
  };

  readonly #opened = (): void => {
    this.#openedAt = systemClock.now();
    const { fires: calls, failures } = this.#counts();
    const { resetTimeout: openFor, errorThresholdPercentage: most } = this.real.options;
    const own = this.#circuit === 'half-open' ? 'probes' : (failures / calls) * 100 > most ? 'failure-rate' : 'manual';
    const error = this.#lastFailure;
    this.#change('open', own, (change) => {
      this.audience.emit('opossum.opened', 'error', this.#call, {
        ...change,
        openFor,
        calls,
        failures,
        ...(error !== undefined && { error }),
      });
    });
  };

  readonly #halfOpened = (): void => {
    this.rounds++;
    this.#change('half-open', 'elapsed', (change) => this.audience.emit('opossum.half-opened', 'warn', undefined, change));
  };

  readonly #closed = (): void => {
    const own = this.#circuit === 'half-open' ? 'probes' : 'manual';
    this.#change('closed', own, (change) => this.audience.emit('opossum.closed', 'info', this.#call, change));
  };

  #change(to: Circuit, own: OpossumReason, tell: (change: { readonly from: Circuit; readonly reason: OpossumReason }) => void): void {
    const from = this.#circuit;
    const reason = this.#reason ?? own;
    this.#circuit = to;
    if (reason === 'health-check') this.#reason = undefined;
    tell({ from, reason });
  }
}

const counts = [
  'fires',
  'rejects',
  'successes',
  'failures',
  'timeouts',
  'fallbacks',
  'semaphoreRejections',
  'cacheHits',
  'cacheMisses',
  'coalesceCacheHits',
  'coalesceCacheMisses',
] as const satisfies readonly (keyof BreakerCounts)[];

function circuitOf({ opened, halfOpen }: Inside): Circuit {
  return opened ? 'open' : halfOpen ? 'half-open' : 'closed';
}
