import type { Call } from '../../core/call.ts';
import { TimeoutError } from '../../core/errors.ts';
import { made } from '../../core/made.ts';
import { Failure } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';
import type { Narrowing } from '../../core/stage.ts';
import type { BreakerCounts, Inside } from './breaker.ts';
import type { Told } from './told.ts';

/** Where an answer came from that the work did not give. */
export type Hit = 'cache' | 'coalesce';

/** A call at a breaker: what opossum has said about it, and what it is to be told. */
export class Entry implements Narrowing {
  readonly call: Call;
  /** By what its answer is kept or shared. */
  readonly key: string | undefined;
  /** The half-open state that it is the probe of. */
  readonly probeOf: number | undefined;
  readonly #scope: Scope;
  readonly #after: number | false;
  /** The call under opossum's timeout. */
  inner: Call;
  /** There once the call is let in. */
  told: Told | undefined = undefined;
  /** What `fire` would have answered with. */
  answer: unknown = undefined;
  /** The error that opossum refused it with, or that it made of a timeout. */
  error: unknown = undefined;
  /** It was answered without the work. */
  hit: Hit | undefined = undefined;
  /** Its time was up. */
  expired = false;
  /** It counts as neither success nor failure. */
  ignored = false;
  /** A fallback has answered. */
  substituted = false;
  /** The part of the window that it was counted in. */
  counted: BreakerCounts | undefined = undefined;

  constructor(call: Call, key: string | undefined, probeOf: number | undefined, scope: Scope, after: number | false) {
    this.call = call;
    this.inner = call;
    this.key = key;
    this.probeOf = probeOf;
    this.#scope = scope;
    this.#after = after;
  }

  /** Opossum has something to say about it. */
  note(event: string | symbol, detail: unknown): void {
    if (event === 'reject' || event === 'semaphoreLocked') this.error = detail;
    else if (event === 'cacheHit') this.hit = 'cache';
    else if (event === 'coalesceCacheHit') this.hit = 'coalesce';
  }

  /** It is let in: what lies inside has as much time as opossum gives it. */
  begin({ status }: Inside, now: number): void {
    const { call } = this;
    this.counted = status.window[0];
    this.inner = call.derive(call.attempt, this.#after === false || this.#after === 0 ? call.deadline : now + this.#after);
  }

  /** Opossum's timer says that its time is up. */
  expire(error: unknown): void {
    if (this.ignored) return;
    this.expired = true;
    this.error = error;
    const { inner } = this;
    // A shadowed limit meets a call derived from the one whose work runs.
    const { started } = this.#scope.shadow ? (inner.parent?.parent ?? inner) : inner;
    inner.cut(new Failure(timeoutError(error, inner, this.#scope, Number(this.#after), started), 'timeout'));
    if (this.#scope.listening) this.#scope.emit('opossum.timed-out', 'warn', inner, { after: Number(this.#after), started });
  }
}

/** Opossum's timeout, as ours. */
export function timeoutError(cause: unknown, { key }: Call, scope: Scope, after: number, started: boolean): TimeoutError {
  const { pipeline, policy, stack } = scope;
  const message = `${pipeline}: ${policy} timed out after ${after} ms${started ? '' : ', before the work had started'}`;
  return made(TimeoutError, message, { pipeline, policy, key, cause, after, started }, stack);
}
