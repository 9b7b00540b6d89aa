/** Events leave a pipeline sideways, through one outlet, and cost nothing while nobody listens. */

/** How much an event matters to an operator. */
export type Level = 'debug' | 'info' | 'warn' | 'error';

/** What every event carries; each type adds its own fields (see the policy pages). */
export interface PipelineEvent {
  /** `kind.past-participle`, for instance `circuit-breaker.opened`. */
  readonly type: string;
  readonly level: Level;
  /** When, ms on the pipeline's clock. */
  readonly at: number;
  readonly pipeline: string;
  readonly policy?: string | undefined;
  readonly key?: string | undefined;
  readonly operation?: string | undefined;
  /** True if the policy only shows what it would do (see `mode`). */
  readonly shadow?: true | undefined;
}

/** Own fields of each event type. Policy modules add theirs by declaration merging. */
export interface EventFields {
  'pipeline.settled': {
    readonly outcome: 'success' | 'degraded' | 'thrown' | 'timeout' | 'refused' | 'aborted';
    readonly duration: number;
    readonly error?: unknown;
  };
  'pipeline.late': { readonly attempt: number; readonly ok: boolean };
  'pipeline.callback-failed': { readonly callback: string; readonly error: unknown };
  'gate.refused': { readonly error: unknown; readonly retryAfter?: number | undefined };
}

/** An event of a known type. */
export type EventOf<Type extends keyof EventFields> = PipelineEvent & { readonly type: Type } & EventFields[Type];

/** Any event of a known type: `event.type` tells which, and with it the fields. */
export type AnyEvent = { readonly [Type in keyof EventFields]: EventOf<Type> }[keyof EventFields];

/** Called with each event it was registered for. What it throws is reported once and changes nothing. */
export type Listener<Event = PipelineEvent> = (event: Event) => void;

/** Takes a listener off again. */
export type Off = () => void;

/** Takes events. */
export interface Sink {
  /** Whether anybody listens. */
  readonly listening: boolean;
  emit(event: PipelineEvent): void;
  /** Tells of a user's callback that threw. */
  report(event: PipelineEvent, error: unknown): void;
  /** The outlets that events come to from here. */
  leaves(): readonly Sink[];
}

/** A nested pipeline's events: its own listeners hear them, and those of the pipeline around it. */
export class FanOut implements Sink {
  readonly #inner: Sink;
  readonly #outer: Sink;

  constructor(inner: Sink, outer: Sink) {
    this.#inner = inner;
    this.#outer = outer;
  }

  get listening(): boolean {
    return this.#inner.listening || this.#outer.listening;
  }

  emit(event: PipelineEvent): void {
    this.#inner.emit(event);
    this.#outer.emit(event);
  }

  leaves(): readonly Sink[] {
    return [...this.#inner.leaves(), ...this.#outer.leaves()];
  }

  report(event: PipelineEvent, error: unknown): void {
    if (this.#inner.listening) this.#inner.report(event, error);
    if (this.#outer.listening || !this.#inner.listening) this.#outer.report(event, error);
  }
}

/** Where the events of one pipeline leave. */
export class Outlet implements Sink {
  readonly #listeners = new Map<string, Set<Listener>>();
  #warned = false;
  /** Whether anybody listens. */
  listening = false;

  on(type: string, listener: Listener): Off {
    let listeners = this.#listeners.get(type);
    if (listeners === undefined) this.#listeners.set(type, (listeners = new Set()));
    listeners.add(listener);
    this.listening = true;
    return () => {
      if (!listeners.delete(listener)) return;
      if (listeners.size === 0 && this.#listeners.get(type) === listeners) this.#listeners.delete(type);
      this.listening = this.#listeners.size > 0;
    };
  }

  emit(event: PipelineEvent): void {
    this.#send(event, event.type);
    this.#send(event, '*');
  }

  leaves(): readonly Sink[] {
    return [this];
  }

  /** Tells of a user's callback that threw; once per pipeline by a process warning if nobody listens. */
  report(event: PipelineEvent, error: unknown): void {
    if (this.listening) this.emit(event);
    else this.#warn(error);
  }

  #send(event: PipelineEvent, type: string): void {
    const listeners = this.#listeners.get(type);
    if (listeners === undefined) return;
    for (const listener of [...listeners]) {
      try {
        listener(event);
      } catch (error) {
        this.#warn(error);
      }
    }
  }

  #warn(error: unknown): void {
    if (this.#warned) return;
    this.#warned = true;
    let what: string;
    try {
      what = error instanceof Error ? (error.stack ?? error.message) : String(error);
    } catch {
      what = 'something that cannot be shown';
    }
    process.emitWarning(`A callback given to a pipeline threw and was ignored: ${what}`, { code: 'BREAKWATER_CALLBACK' });
  }
}
