/** The same traffic for a bare breaker of opossum and for pipelines, on the process's fake timers. */

import CircuitBreaker from 'opossum';
import { vi } from 'vitest';
import { type AnyPolicy, BulkheadFullError, CircuitOpenError, type Pipeline, TimeoutError, pipeline } from 'breakwater';
import { type OpossumOptions, fromOpossumOptions, opossumBreaker } from 'breakwater/opossum';

/** A breaker of the package, as far as the tests need one. */
export interface Bare {
  readonly opened: boolean;
  readonly halfOpen: boolean;
  readonly stats: Readonly<Record<'fires' | 'failures' | 'successes', number>>;
  readonly options: Readonly<Record<string, unknown>>;
  fire(...args: readonly unknown[]): Promise<unknown>;
  open(): void;
  close(): void;
  enable(): void;
  disable(): void;
  shutdown(): void;
  on(event: string, listener: (...args: readonly unknown[]) => void): unknown;
  toJSON(): { readonly state: NonNullable<OpossumOptions['state']>; readonly status: object };
}

/** The package's class. */
export const Opossum = CircuitBreaker as unknown as {
  new (action: (...args: never[]) => unknown, options?: object): Bare;
  newStatus(options: object): object;
  readonly prototype: object;
};

/** What a call of the traffic does: answer or fail after a while, fail with an error that the filter lets pass, or go on until it is aborted. */
export type Deed = 'answers' | 'fails' | 'filtered' | 'hangs';

/** What became of a call. */
export type Decision = 'answered' | 'failed' | 'timed out' | 'open' | 'full';

export interface Work {
  (signal?: AbortSignal): unknown;
}

/** An error that `passes` says is none of the dependency's. */
export class NotFound extends Error {}

/** The filter of the traffic. */
export function passes(error: unknown): boolean {
  return error instanceof NotFound;
}

/** Work that does that after so many ms. It stops when it is aborted, if it is told. */
export function doing(deed: Deed, takes = 0): Work {
  return (signal) =>
    new Promise((resolve, reject) => {
      const end = (): void => {
        if (deed === 'answers') resolve('answer');
        else reject(deed === 'fails' ? new Error('down') : new NotFound());
      };
      signal?.addEventListener('abort', () => reject(new Error('aborted')));
      if (deed === 'hangs') return;
      if (takes === 0) end();
      else setTimeout(end, takes);
    });
}

/** One who gets the traffic. */
export interface Side {
  readonly state: 'closed' | 'open' | 'half-open' | string;
  fire(work: Work): Promise<Decision>;
  end(): void;
}

/** A bare breaker. */
export class BareSide implements Side {
  readonly breaker: Bare;

  constructor(options: object, breaker: Bare = new Opossum((work: Work) => work(), { ...options })) {
    this.breaker = breaker;
  }

  get state(): string {
    if (this.breaker.opened) return 'open';
    return this.breaker.halfOpen ? 'half-open' : 'closed';
  }

  async fire(work: Work): Promise<Decision> {
    try {
      await this.breaker.fire(work);
      return 'answered';
    } catch (error) {
      const { code } = Object(error) as { readonly code?: unknown };
      return code === 'EOPENBREAKER' ? 'open' : code === 'ESEMLOCKED' ? 'full' : code === 'ETIMEDOUT' ? 'timed out' : 'failed';
    }
  }

  end(): void {
    this.breaker.shutdown();
  }
}

/** A pipeline around policies, of which the first knows the state. */
export class PipelineSide implements Side {
  readonly pipeline: Pipeline;
  /** The one that knows the state. */
  readonly first: AnyPolicy & { readonly state: string };
  readonly #end: () => void;

  constructor(policies: readonly [AnyPolicy & { readonly state: string }, ...AnyPolicy[]], end: () => void = () => undefined) {
    this.pipeline = pipeline(policies as never);
    this.first = policies[0];
    this.#end = end;
  }

  get state(): string {
    return this.first.state;
  }

  async fire(work: Work): Promise<Decision> {
    const outcome = await this.pipeline.executeOutcome(({ signal }) => work(signal));
    if (outcome.ok) return 'answered';
    const { error } = outcome;
    if (error instanceof CircuitOpenError) return 'open';
    if (error instanceof BulkheadFullError) return 'full';
    return error instanceof TimeoutError ? 'timed out' : 'failed';
  }

  end(): void {
    this.#end();
  }
}

/** The native policies for these options. */
export function nativeSide(options: OpossumOptions): PipelineSide {
  return new PipelineSide(fromOpossumOptions(options) as never);
}

/** A pipeline around a breaker of opossum that has these options. */
export function adaptedSide(options: OpossumOptions): PipelineSide {
  const policy = opossumBreaker(options);
  return new PipelineSide([policy], () => policy.breaker.shutdown());
}

/** Sides that get the same traffic at the same time, and what became of it. */
export class Traffic {
  readonly sides: readonly Side[];
  /** By call: when it was answered and how, for each side. */
  readonly #log: (readonly [at: number, decision: Decision])[][];
  readonly #begun = Date.now();
  #calls = 0;

  constructor(...sides: readonly Side[]) {
    this.sides = sides;
    this.#log = sides.map(() => []);
  }

  /** Calls that all sides get in the same tick. */
  send(...works: readonly Work[]): void {
    for (const work of works) {
      const call = this.#calls++;
      this.sides.forEach((side, i) => {
        void side.fire(work).then((decision) => {
          (this.#log[i] as (readonly [number, Decision])[])[call] = [Date.now() - this.#begun, decision];
        });
      });
    }
  }

  /** Lets so many ms go by. */
  async wait(ms: number): Promise<void> {
    await vi.advanceTimersByTimeAsync(ms);
  }

  /** A call by itself, up to its end after `takes` ms; answers with what became of it, for each side. */
  async one(work: Work, takes = 0): Promise<readonly Decision[]> {
    this.send(work);
    await this.wait(takes);
    return this.last;
  }

  /** What became of the latest call. */
  get last(): readonly Decision[] {
    return this.#log.map((log) => (log[this.#calls - 1] as readonly [number, Decision])[1]);
  }

  /** What became of all calls so far and the state, for each side. */
  get seen(): readonly { readonly log: readonly (readonly [number, Decision] | undefined)[]; readonly state: string }[] {
    return this.sides.map(({ state }, i) => ({ log: [...(this.#log[i] as (readonly [number, Decision])[])], state }));
  }

  /** The state, for each side. */
  get states(): readonly string[] {
    return this.sides.map(({ state }) => state);
  }

  end(): void {
    for (const side of this.sides) side.end();
  }
}
