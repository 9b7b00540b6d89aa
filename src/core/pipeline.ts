import { type Admission, type Refusal, admit } from './admission.ts';
import { limitedLayers, quotasAmong } from './allowance.ts';
import type { Call, Work } from './call.ts';
import { type CallOptions, type CallSettings, noOptions, readCallOptions, withKey } from './call-options.ts';
import { systemClock, systemRandom } from './clock.ts';
import {
  type Layer,
  type LayerDescription,
  type Nested,
  checkPolicies,
  compose,
  composeAround,
  describeLayers,
  gatesOf,
  nameLayers,
  snapshotLayers,
} from './compose.ts';
import { OptionsError } from './errors.ts';
import { type AnyEvent, type EventFields, type EventOf, FanOut, type Listener, type Off, Outlet } from './events.ts';
import type { AddsOf, InOrder, Policies, SeesOf } from './inference.ts';
import type { Frame } from './frame.ts';
import { Life } from './life.ts';
import { type Advice, lintLayers } from './lint.ts';
import { type Duration, duration, readOptions, show } from './options.ts';
import { Failure, type Outcome, type Settled } from './outcome.ts';
import { type PipelineOptions, pipelineFields } from './pipeline-options.ts';
import type { AnyPolicy, GatePolicy, Handler, PlainData, Policy } from './policy.ts';
import { type Quota, type QuotaOptions, readKey } from './quota.ts';
import { Scope } from './scope.ts';

/** Policies around any function, outermost first. A pipeline is a policy itself and may stand inside another. */
export interface Pipeline<P extends Policies = Policies> extends Policy<SeesOf<P>, AddsOf<P>>, AsyncDisposable {
  readonly kind: 'pipeline';
  readonly name: string;
  /** Runs the work; resolves to its result (or a fallback's) and rejects with its very error, or with the policies' refusal or timeout. */
  execute<T extends SeesOf<P>>(work: Work<T>, options?: CallOptions): Promise<T | AddsOf<P>>;
  /** As `execute`, but never rejects: what happened comes as plain data. */
  executeOutcome<T extends SeesOf<P>>(work: Work<T>, options?: CallOptions): Promise<Settled<T | AddsOf<P>>>;
  /** The same function, guarded: same parameters, `this` kept. */
  wrap<This, Args extends unknown[], T extends SeesOf<P>>(
    work: (this: This, ...args: Args) => T | PromiseLike<T>,
    options?: Omit<CallOptions, 'key'> & { readonly key?: string | ((...args: Args) => string | undefined) },
  ): (this: This, ...args: Args) => Promise<T | AddsOf<P>>;
  /** Asks the gates for admission now, without a function to run and without waiting. Only for pipelines made of gates. */
  tryAcquire(options?: CallOptions): Admission | Refusal;
  /** As `tryAcquire`, but may wait; rejects with the refusal. */
  acquire(options?: CallOptions): Promise<Admission>;
  /** Registers a listener for one type of event, or for all (`'*'`); answers with what takes it off. */
  on<Type extends keyof EventFields>(type: Type, listener: Listener<EventOf<Type>>): Off;
  on(type: '*', listener: Listener<AnyEvent>): Off;
  /** Layers and their resolved options. */
  describe(): PlainData & { readonly name: string; readonly layers: readonly LayerDescription[] };
  /** Live state of every policy. */
  snapshot(): PlainData & {
    readonly name: string;
    readonly active: number;
    readonly closed: boolean;
    readonly policies: readonly PlainData[];
  };
  /**
   * What its rate limits allow calls with this key, and what is left now, outermost first; those that do not act are left out. Asking takes nothing.
   *
   * @throws OptionsError if `key` is no string
   */
  quotas(options?: QuotaOptions): readonly Quota[];
  /** Advice on doubtful orders and values; empty if there is none. */
  lint(): readonly Advice[];
  /** Admits nothing any more, lets what runs finish for up to `drain` (default: 30 s), then aborts the rest. */
  close(options?: { readonly drain?: Duration }): Promise<void>;
}

/**
 * Stacks policies around any function, outermost first, as it reads.
 *
 * @throws OptionsError if an option is wrong, a policy is none, or two policies have one name
 *
 * @example
 * ```ts
 * import { pipeline, retry, timeout } from 'breakwater';
 *
 * const inventory = pipeline([retry({ maxAttempts: 3 }), timeout({ after: '1s' })], { name: 'inventory' });
 * const stock = await inventory.execute(async ({ signal, attempt }) => ({ pieces: 7, attempt, aborted: signal.aborted }));
 * console.log(stock.pieces); // => 7
 * ```
 */
export function pipeline<const P extends Policies>(policies: P & InOrder<P>, options: PipelineOptions = {}): Pipeline<P> {
  return new PolicyPipeline(policies, options) as unknown as Pipeline<P>;
}

type WrapOptions = Omit<CallOptions, 'key'> & { readonly key?: string | ((...args: unknown[]) => string | undefined) };

class PolicyPipeline implements Nested {
  readonly kind = 'pipeline';
  readonly name: string;
  readonly layers: Nested['layers'];
  readonly #scope: Scope;
  readonly #outlet = new Outlet();
  readonly #frame: Frame;
  readonly #life: Life;
  #gates: ReturnType<typeof gatesOf> | undefined;
  #limited: readonly Layer[] | undefined;

  constructor(policies: readonly AnyPolicy[], given: PipelineOptions) {
    if (!Array.isArray(policies)) checkPolicies('pipeline', policies);
    const options = readOptions('pipeline', pipelineFields, given);
    this.name = options.name;
    this.layers = nameLayers(options.name, policies);
    const { clock = systemClock, random = systemRandom, stack, classify, track } = options;
    this.#scope = new Scope(options.name, clock, random, stack, this.#outlet, classify);
    this.#life = new Life(this.#scope);
    this.#frame = compose(this.layers, this.#scope, track);
    if (options.on !== undefined) this.#outlet.on('*', options.on as Listener);
  }

  execute(work: Work<unknown>, options?: CallOptions): Promise<unknown> {
    let settings: CallSettings;
    try {
      settings = this.#read(work, options);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#frame.run(this.#life.open(work, settings, true), this.#close, true);
  }

  executeOutcome(work: Work<unknown>, options?: CallOptions): Promise<Settled<unknown>> {
    let settings: CallSettings;
    try {
      settings = this.#read(work, options);
    } catch (error) {
      return Promise.resolve({ ok: false, error });
    }
    return this.#frame.run(this.#life.open(work, settings, true), this.#describe, false) as Promise<Settled<unknown>>;
  }

  wrap(work: (...args: unknown[]) => unknown, options: WrapOptions = {}): (...args: unknown[]) => Promise<unknown> {
    const { key, ...others } = options;
    const computed = typeof key === 'function' ? key : undefined;
    const settings = this.#read(work, computed === undefined ? { ...others, key: key as string | undefined } : others);
    const run = (call: Work<unknown>, own: CallSettings): Promise<unknown> =>
      this.#frame.run(this.#life.open(call, own, true), this.#close, true);
    return async function guarded(this: unknown, ...args: unknown[]): Promise<unknown> {
      const own = computed === undefined ? settings : withKey(settings, computed(...args));
      return await run(() => work.apply(this, args), own);
    };
  }

  tryAcquire(options?: CallOptions): Admission | Refusal {
    return this.#admit(options, false) as Admission | Refusal;
  }

  async acquire(options?: CallOptions): Promise<Admission> {
    const answer = await this.#admit(options, true);
    if (answer.admitted) return answer;
    throw answer.error;
  }

  on(type: string, listener: Listener<never>): Off {
    if (typeof listener !== 'function')
      throw new OptionsError([{ path: `${this.name}.on`, expected: 'a function (event) => void', got: typeof listener }]);
    if (!eventType.test(type))
      throw new OptionsError([{ path: `${this.name}.on`, expected: "'*' or a type such as 'circuit-breaker.opened'", got: show(type) }]);
    return this.#outlet.on(type, listener as Listener);
  }

  describe(): PlainData & { readonly name: string; readonly layers: readonly LayerDescription[] } {
    return { name: this.name, layers: describeLayers(this.layers) };
  }

  snapshot(): PlainData & {
    readonly name: string;
    readonly active: number;
    readonly closed: boolean;
    readonly policies: readonly PlainData[];
  } {
    return { name: this.name, active: this.#life.active, closed: this.#life.closed, policies: snapshotLayers(this.layers) };
  }

  quotas(options?: QuotaOptions): readonly Quota[] {
    const key = readKey(`${this.name}.quotas`, options);
    this.#limited ??= limitedLayers(this.layers);
    return quotasAmong(this.#limited, key, this.#scope.clock.now());
  }

  lint(): readonly Advice[] {
    return lintLayers(this.describe().layers);
  }

  async close(options: { readonly drain?: Duration } = {}): Promise<void> {
    const { drain } = readOptions<{ drain: number }>('close', { drain: duration({ infinite: true }).or('30s') }, options);
    await this.#life.end(drain);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  mount(next: Handler, outer: Scope): Handler {
    const scope = this.inner(outer);
    return composeAround([{ policy: this.#life.policy(), name: this.name }, ...this.layers], scope, next);
  }

  inner(outer: Scope): Scope {
    const sink = new FanOut(this.#outlet, outer.sink);
    return new Scope(
      this.name,
      outer.clock,
      outer.random,
      this.#scope.stack || outer.stack,
      sink,
      this.#scope.classifier ?? outer.classifier,
    );
  }

  life(): GatePolicy {
    return this.#life.policy();
  }

  get tracks(): boolean {
    return this.layers.some(({ policy }) => policy.tracks === true);
  }

  /** Checks what a call is given. @throws OptionsError */
  #read(work: unknown, options: CallOptions | undefined): CallSettings {
    if (typeof work !== 'function') {
      throw new OptionsError([{ path: `${this.name}.execute`, expected: 'a function to run', got: show(work) }]);
    }
    return options === undefined ? noOptions : readCallOptions(options);
  }

  #admit(options: CallOptions | undefined, waits: boolean): Admission | Refusal | Promise<Admission | Refusal> {
    this.#gates ??= gatesOf(this.layers, this.#scope);
    if (typeof this.#gates === 'string') {
      const path = `${this.name}.${waits ? 'acquire' : 'tryAcquire'}`;
      throw new OptionsError([{ path, expected: 'a pipeline of gates only; use execute', got: `a pipeline with ${this.#gates}` }]);
    }
    const call = this.#life.open(nothing, this.#read(nothing, options), waits);
    return admit(this.#gates, call, this.#close);
  }

  readonly #close = (outcome: Outcome, call: Call): Outcome => {
    this.#life.close(call, outcome);
    return outcome;
  };

  readonly #describe = (outcome: Outcome, call: Call): Settled<unknown> => {
    this.#life.close(call, outcome);
    if (outcome instanceof Failure) return { ok: false, error: outcome.error };
    return call.degraded ? { ok: true, value: outcome, degraded: true } : { ok: true, value: outcome };
  };
}

/** `kind.past-participle`, or all. */
const eventType = /^(\*|[\w-]+\.[\w-]+)$/;

function nothing(): void {}
