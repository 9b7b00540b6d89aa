/**
 * Per key: a policy of its own for each key, such as a rate limit per tenant or a circuit per host.
 *
 * @example
 * ```ts
 * import { perKey, pipeline, tokenBucket } from 'breakwater';
 *
 * const api = pipeline([perKey(() => tokenBucket({ rate: 1, per: '1m' }))]);
 * const outcomes = await Promise.all(['ada', 'ada', 'bob'].map((key) => api.executeOutcome(() => 'served', { key })));
 * console.log(outcomes.map(({ ok }) => ok)); // => [true, false, true]
 * ```
 *
 * @module
 */

import { LRUCache } from 'lru-cache';
import { quotasOf } from '../core/allowance.ts';
import type { Call } from '../core/call.ts';
import { OptionsError } from '../core/errors.ts';
import { type Duration, type Fields, count, duration, oneOf, readOptions, show } from '../core/options.ts';
import { type CommonSettings, type Mode, type PolicyOptions, commonFields } from '../core/mode.ts';
import { type GatePolicy, type Handler, type PlainData, mountAlone } from '../core/policy.ts';
import { type Quota, noQuotas } from '../core/quota.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';
import { CacheShelf } from './per-key/cache-shelf.ts';
import { type PerKeyStore, claim, storeField, storeRules, withItsRoom } from './per-key/given-store.ts';
import type { Resting } from './per-key/holdings.ts';
import { KeyedGate } from './per-key/keyed-gate.ts';
import { Registry } from './per-key/registry.ts';

export type { PerKeyStore, Resting };

/** Options of {@link perKey}. */
export interface PerKeyOptions<Child extends GatePolicy = never> extends PolicyOptions {
  /** How many keys have a policy of their own at once; with a `store` that counts its entries, as many as that has room for. @defaultValue `10_000` */
  readonly max?: number;
  /** A policy not asked for this long is let go, once it is at rest. @defaultValue `'10m'` */
  readonly idle?: Duration;
  /** What happens to a call without a key: it passes as if the policy were not there, or it is refused. @defaultValue `'pass'` */
  readonly missing?: 'pass' | 'refuse';
  /**
   * A cache of yours that the policies are kept in, each under its key: an `LRUCache` that is empty and that nobody else puts anything in. Its own `max`, `maxSize` and `ttl` have their say: what it
   * lets go is forgotten, at rest or not.
   *
   * @defaultValue a cache of its own
   */
  readonly store?: PerKeyStore<Child>;
}

declare module '../core/events.ts' {
  interface EventFields {
    /** There was no room for this key, and the policy it got will be shared. */
    'per-key.shared': { readonly size: number };
    /** The policy of this key was let go. */
    'per-key.dropped': { readonly key: string; readonly size: number };
  }
}

/** How many keys have a policy of their own (`size`), how many may (`max`), and how many policies are shared by keys for which there was no room. */
export type PerKeySnapshot = PlainData & Readonly<Record<'size' | 'max' | 'shared', number>>;

/** A policy for each key. */
export interface PerKey<Child extends GatePolicy> extends GatePolicy {
  readonly kind: 'per-key';
  /** The policy of this key, if it has one of its own now. May call the factory, where only the state was kept until now. */
  get(key: string): Child | undefined;
  /** The keys that have one, latest asked for first; instead of a key of more than 256 characters its hash, `sha256:` and 32 hexadecimal digits. */
  keys(): string[];
  /** How many keys have one. */
  readonly size: number;
  snapshot(): PerKeySnapshot;
}

/** Options as read. */
export interface PerKeySettings extends CommonSettings {
  readonly max: number;
  readonly idle: number;
  readonly missing: 'pass' | 'refuse';
  readonly store: PerKeyStore | undefined;
}

/** The option table. */
export const perKeyFields: Fields<PerKeySettings> = {
  max: count({ min: 1 }).or(10_000),
  idle: duration({ infinite: true }).or('10m'),
  missing: oneOf('pass', 'refuse').or('pass'),
  store: storeField,
  ...commonFields,
};

/**
 * Keeps a gate policy (limiter, bulkhead, circuit breaker, ...) for each `call.key`, made by `factory` when the key first comes. Keys never affect
 * each other, and any string is a key like any other.
 *
 * Where the factory takes no key and makes limiters that are alike and never make a call wait, only their states are kept, some numbers for each key:
 * what counts is then what `get` hands out, not what the factory returned.
 *
 * Memory is bounded by `max`. To make room only policies at rest are let go, those not asked for longest first, so a flood of new keys cannot make
 * an offender's count forgotten. Where there is no room, new keys share a fixed set of policies, by a hash nobody can predict: they may be refused
 * for what others did, and never get more than the policy allows.
 *
 * With a `store` the policies stand in a cache of the user's, under their keys, and what that lets go by itself is forgotten.
 *
 * The factory is called once at the start, with an empty key, to see what it makes; if it takes no key, wrong options are refused then. What it throws
 * when a key comes is what the call gets.
 *
 * @throws OptionsError if an option is wrong, or the factory makes something that is no gate policy
 */
export function perKey<Child extends GatePolicy>(factory: (key: string) => Child, options: PerKeyOptions<Child> = {}): PerKey<Child> {
  if (typeof factory !== 'function')
    throw new OptionsError([{ path: 'perKey', expected: 'a function (key) => policy', got: show(factory) }]);
  return new PerKeyPolicy(factory, readOptions('perKey', perKeyFields, withItsRoom(options), ...storeRules(options)));
}

class PerKeyPolicy<Child extends GatePolicy> implements PerKey<Child> {
  readonly kind = 'per-key';
  readonly childKind: string;
  readonly name: string | undefined;
  readonly mode: Mode;
  readonly tracks: boolean;
  readonly settings: PerKeySettings;
  readonly registry: Registry<Child>;
  readonly #factory: (key: string) => Child;
  readonly #specimen: Child | undefined;
  #latest: Child | undefined = undefined;

  constructor(factory: (key: string) => Child, settings: PerKeySettings) {
    this.settings = settings;
    this.name = settings.name;
    this.mode = settings.mode;
    this.#factory = factory;
    this.#specimen = this.#try();
    this.childKind = this.#specimen?.kind ?? 'by key';
    this.tracks = this.#specimen?.tracks === true;
    this.registry = this.#registryIn(settings.store as PerKeyStore<Child> | undefined);
  }

  get size(): number {
    return this.registry.size;
  }

  get(key: string): Child | undefined {
    return this.registry.policyOf(key);
  }

  keys(): string[] {
    return this.registry.keys();
  }

  gate(scope: Scope): Gate {
    const { childKind, kind, registry, settings } = this;
    registry.join(scope);
    const name = scope.policy ?? kind;
    return new KeyedGate(registry, settings.missing === 'refuse', scope, name === childKind ? scope : scope.for(`${name} (${childKind})`));
  }

  mount(next: Handler, scope: Scope): Handler {
    return mountAlone(this, next, scope);
  }

  /** A key that nobody has come with is allowed what a new policy allows. */
  quotasFor(key: string | undefined, name: string, now: number): readonly Quota[] {
    if (key === undefined) return noQuotas;
    return this.registry.quotas(key, name, now) ?? this.#quotasOfNew(key, name, now);
  }

  strained(call: Call): boolean {
    return call.key !== undefined && this.registry.isStrained(call.key, call);
  }

  snapshot(): PerKeySnapshot {
    const { size, shared } = this.registry;
    return { size, max: this.settings.max, shared };
  }

  describe(): PlainData {
    const { max, idle, missing, store } = this.settings;
    const each = this.#factory.length > 0 ? undefined : this.#specimen;
    return {
      max,
      idle,
      missing,
      ...(store && { store: 'given' }),
      each: each === undefined ? 'by key' : { kind: each.kind, ...each.describe() },
    };
  }

  #quotasOfNew(key: string, name: string, now: number): readonly Quota[] {
    if (this.#factory.length === 0) return quotasOf(this.#specimen as Child, key, name, now);
    try {
      return quotasOf(this.#factory(key), key, name, now);
    } catch {
      return noQuotas; // the call will be told
    }
  }

  /** In a cache of the user's stand the policies themselves, never only their states. */
  #registryIn(store: PerKeyStore<Child> | undefined): Registry<Child> {
    const make = (key: string): Child => this.#make(key);
    const { max } = this.settings;
    if (store === undefined) return new Registry<Child>(new LRUCache({ max }), this.settings, this.#factory.length === 0, make);
    claim(store);
    const shelf = new CacheShelf<Child>(store, (error) => this.registry.report('store', error));
    return new Registry<Child>(shelf, this.settings, false, make);
  }

  /** What the factory makes of a key that nobody has. One that takes the key may not know it, so what is wrong with it only counts for a real key. */
  #try(): Child | undefined {
    try {
      return this.#make('');
    } catch (error) {
      if (this.#factory.length === 0) throw error;
      return undefined;
    }
  }

  #make(key: string): Child {
    const policy = this.#factory(key) as Child | undefined;
    if (policy !== undefined && policy === this.#latest)
      throw new OptionsError([{ path: 'perKey', expected: 'a function that makes a new policy each time', got: 'the same one again' }]);
    this.#latest = policy;
    if (typeof policy?.kind === 'string' && typeof policy.gate === 'function') return policy;
    const got = typeof policy?.kind === 'string' ? `a ${policy.kind}` : show(policy);
    throw new OptionsError([{ path: 'perKey', expected: 'a function that makes a limiter, bulkhead, circuit breaker or other gate', got }]);
  }
}
