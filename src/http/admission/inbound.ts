/**
 * A request as a call through gates: admitted once, settled once, aborted when its client leaves or its time is up. Knows the events of a
 * response and no framework: an adapter tells it who asks, and sends what it is told to.
 */

import type { HeldAdmission } from '../../core/admission.ts';
import type { CallOptions } from '../../core/call-options.ts';
import { systemClock } from '../../core/clock.ts';
import { ResilienceError } from '../../core/errors.ts';
import { made } from '../../core/made.ts';
import type { Pipeline } from '../../core/pipeline.ts';
import { SoleSignal } from '../../core/signals.ts';
import { type Connection, noLongerClosed, onceClosed } from './connections.ts';

/** What must be seen of a response; Node's own have it, and those shaped like them. */
export interface Responding {
  readonly statusCode: number;
  readonly writableEnded: boolean;
  readonly destroyed: boolean;
  /** What an HTTP/2 response stands on. */
  readonly stream?: { readonly destroyed: boolean };
  /** The connection; `null` while the response waits in a pipeline behind another one. */
  readonly socket?: object | null;
  /** The request, which knows the connection all the same. */
  readonly req?: { readonly socket: Connection | null };
  once(event: 'finish' | 'close', listener: () => void): unknown;
  removeListener(event: 'finish' | 'close', listener: () => void): unknown;
}

/** A request on its way, as its handler sees it. */
export interface Visit {
  /**
   * Aborts when there is nobody left to answer: with a {@link ClientGoneError} when the client has disconnected, with a `TimeoutError` when the
   * deadline or a timeout among the gates has passed.
   */
  readonly signal: AbortSignal;
  /** Whether it went through the gates; false if it was let through without. */
  readonly admitted: boolean;
  /** Milliseconds left until the deadline, never negative; `Infinity` without one. */
  remaining(): number;
}

/** The client disconnected before it was answered. Counts as neither success nor failure. */
export class ClientGoneError extends ResilienceError {
  override readonly code = 'ERR_CLIENT_GONE';
  override readonly name = 'ClientGoneError';
}

/** The handler answered with a status of 500 or above: what gates are told has gone wrong. */
export class ErrorResponse extends ResilienceError {
  override readonly code = 'ERR_RESPONSE';
  override readonly name = 'ErrorResponse';
  readonly status: number;

  constructor(message: string, details: { readonly status: number }) {
    super(message);
    this.status = details.status;
  }
}

/** How a request is to be taken through the gates. */
export interface Entry extends Pick<CallOptions, 'key' | 'cost' | 'priority' | 'priorityLevel'> {
  /** ms; `Infinity` for none. */
  readonly deadline: number;
  /** The same request behind an outer guard: its end is this one's end. */
  readonly outer?: Visit | undefined;
  /** Called, at most once, when the time is up before the response is over; what is sent in answer settles the request. */
  readonly expired: (error: unknown) => void;
}

/** The gates' answer. `gone`: the client left while it waited, and there is nobody to tell. */
export type Arrival =
  { readonly kind: 'admitted'; readonly visit: Visit } | { readonly kind: 'refused'; readonly error: unknown } | { readonly kind: 'gone' };

/**
 * Takes a request through the gates of `pipeline`. What it was given there is given back exactly once: when the response is finished, or closed
 * before that. A status of 500 or above counts as a failure, any other as a success, and a client that left before the answer not at all.
 *
 * Never rejects: `refused` carries whatever `acquire` threw.
 */
export async function arrive(pipeline: Pick<Pipeline, 'acquire'>, response: Responding, entry: Entry): Promise<Arrival> {
  const visit = new GuardedVisit(response, entry);
  const { key, cost, priority, priorityLevel } = entry;
  try {
    const { signal } = visit.outside;
    visit.take((await pipeline.acquire({ signal, deadline: visit.limit, key, cost, priority, priorityLevel })) as HeldAdmission);
  } catch (error) {
    const gone = visit.outside.aborted;
    visit.end();
    return gone ? { kind: 'gone' } : { kind: 'refused', error };
  }
  return visit.over ? { kind: 'gone' } : { kind: 'admitted', visit };
}

/** A request that goes past the gates, or is let in though it was refused: its signal still tells when there is nobody left to answer. */
export function letThrough(response: Responding, outer: Visit | undefined): Visit {
  return new GuardedVisit(response, { deadline: Infinity, outer, expired: () => undefined });
}

class GuardedVisit implements Visit {
  /** Time it may take in all, ms. */
  readonly limit: number;
  /** Ends the visit from outside: the client has left, or the visit to an outer guard is at its end. */
  readonly outside: SoleSignal = new SoleSignal();
  over = false;
  readonly #response: Responding;
  readonly #entry: Entry;
  readonly #due: number;
  /** Where the response would not say that its client has left: it is not its turn yet on this connection. */
  readonly #connection: Connection | undefined;
  readonly #outer: GuardedVisit | undefined;
  /** The same request behind inner guards, which ends with this one. */
  #inner: Set<GuardedVisit> | undefined = undefined;
  #admission: HeldAdmission | undefined = undefined;
  /** Made for those who ask for a signal and have not been through gates. */
  #controller: AbortController | undefined = undefined;

  constructor(response: Responding, entry: Entry) {
    const { outer, deadline } = entry;
    this.#response = response;
    this.#entry = entry;
    this.limit = Math.min(deadline, outer?.remaining() ?? Infinity);
    this.#due = systemClock.now() + this.limit;
    response.once('finish', this.#over);
    response.once('close', this.#over);
    this.#connection = response.socket === null ? (response.req?.socket ?? undefined) : undefined;
    if (this.#connection !== undefined) onceClosed(this.#connection, this.#over);
    this.#outer = outer as GuardedVisit | undefined;
    const late = this.#outer?.reason;
    if (response.destroyed || response.stream?.destroyed === true || this.#connection?.destroyed === true) this.#over();
    else if (late !== undefined) this.#end(late.error);
    else if (this.#outer !== undefined) (this.#outer.#inner ??= new Set()).add(this);
  }

  get signal(): AbortSignal {
    if (this.#admission !== undefined) return this.#admission.signal;
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.outside.aborted) this.#controller.abort(this.outside.reason);
    }
    return this.#controller.signal;
  }

  get admitted(): boolean {
    return this.#admission !== undefined;
  }

  /** Why its signal has aborted, if it has. */
  get reason(): { readonly error: unknown } | undefined {
    if (this.#admission !== undefined) return this.#admission.cut;
    return this.outside.aborted ? { error: this.outside.reason } : undefined;
  }

  remaining(): number {
    return this.reason === undefined ? Math.max(0, this.#due - systemClock.now()) : 0;
  }

  /** The gates are open. If it is too late for that, gives back at once what they gave. */
  take(admission: HeldAdmission): void {
    if (this.over || admission.cut !== undefined) {
      admission.ignore();
      throw this.outside.aborted ? this.outside.reason : admission.cut?.error;
    }
    this.#admission = admission;
    admission.onCut = this.#cut;
  }

  /** Nothing of the visit is left. */
  end(): void {
    this.over = true;
    this.#response.removeListener('finish', this.#over);
    this.#response.removeListener('close', this.#over);
    if (this.#connection !== undefined) noLongerClosed(this.#connection, this.#over);
    this.#outer?.leave(this);
    if (this.#admission !== undefined) this.#admission.onCut = undefined;
  }

  /** A visit to an inner guard is over. */
  leave(inner: GuardedVisit): void {
    this.#inner?.delete(inner);
  }

  /** Finished or closed. HTTP/2 says `finish` of a stream that was reset, too: what counts is whether the answer was complete. */
  readonly #over = (): void => {
    this.end();
    const { writableEnded, statusCode } = this.#response;
    const admission = this.#admission;
    if (!writableEnded) {
      this.#end(made(ClientGoneError, 'The client disconnected before it was answered', {}, false));
      admission?.ignore();
    } else if (admission?.cut !== undefined) admission.failure(admission.cut.error);
    else if (statusCode < 500) admission?.success(statusCode);
    else admission?.failure(made(ErrorResponse, `The handler answered ${statusCode}`, { status: statusCode }, false));
  };

  /** There is nobody left to answer. */
  #end(reason: unknown): void {
    this.outside.abort(reason);
    this.#controller?.abort(reason);
    this.#endInner(reason);
  }

  #endInner(reason: unknown): void {
    const inner = this.#inner;
    this.#inner = undefined;
    if (inner !== undefined) for (const each of inner) each.#end(reason);
  }

  /** Its time is up, or its pipeline is closed for good. */
  readonly #cut = ({ error }: { readonly error: unknown }): void => {
    if (this.outside.aborted) return;
    this.#endInner(error);
    this.#entry.expired(error);
  };
}
