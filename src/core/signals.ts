/**
 * Listening to callers' abort signals. Many calls may share one signal (a server's shutdown, a request's disconnect): they share
 * one listener, which goes when the last of them has settled.
 */

/** Something that can be cut short. */
export interface Cancellable {
  cancel(reason: unknown): void;
}

/**
 * A caller that may give up, and to whom one call listens: what an `AbortSignal` tells, without its weight (two of those take longer than all else that is done for a request). For
 * adapters that need one for each request.
 */
export class SoleSignal {
  aborted = false;
  reason: unknown = undefined;
  call: Cancellable | undefined = undefined;

  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    this.call?.cancel(reason);
    this.call = undefined;
  }

  /** The same as what calls take; only `aborted` and `reason` may be looked at. */
  get signal(): AbortSignal {
    return this as unknown as AbortSignal;
  }
}

class Subscribers {
  readonly calls = new Set<Cancellable>();
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  add(call: Cancellable): void {
    if (this.calls.size === 0) this.#signal.addEventListener('abort', this);
    this.calls.add(call);
  }

  delete(call: Cancellable): void {
    if (this.calls.delete(call) && this.calls.size === 0) this.#signal.removeEventListener('abort', this);
  }

  handleEvent(): void {
    this.#signal.removeEventListener('abort', this);
    const calls = [...this.calls];
    this.calls.clear();
    for (const call of calls) call.cancel(this.#signal.reason);
  }
}

const subscribersOf = new WeakMap<AbortSignal, Subscribers>();

/** Cancels `call` when `signal` aborts. */
export function subscribe(signal: AbortSignal | SoleSignal, call: Cancellable): void {
  if (signal instanceof SoleSignal) {
    signal.call = call;
    return;
  }
  let subscribers = subscribersOf.get(signal);
  if (subscribers === undefined) {
    subscribers = new Subscribers(signal);
    subscribersOf.set(signal, subscribers);
  }
  subscribers.add(call);
}

/** Forgets the call; the signal keeps no trace of it. */
export function unsubscribe(signal: AbortSignal | SoleSignal, call: Cancellable): void {
  if (signal instanceof SoleSignal) signal.call = undefined;
  else subscribersOf.get(signal)?.delete(call);
}

/** Whose own signal it is: a call that is given the signal of another was made in its work. */
export const owners: WeakMap<AbortSignal, Cancellable> = new WeakMap();
