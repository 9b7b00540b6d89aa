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
import { Places } from '../algorithms/places.ts';
import { makeRoom } from '../algorithms/room.ts';
import type { Call } from '../core/call.ts';
import { detach, identify } from '../core/digest.ts';
import { OptionsError, RejectedError } from '../core/errors.ts';
import { made } from '../core/made.ts';
import { type Duration, type Fields, count, duration, oneOf, readOptions, show } from '../core/options.ts';
import { type CommonSettings, type Mode, type PolicyOptions, commonFields } from '../core/mode.ts';
import { Kept, KeptPass } from '../core/kept.ts';
import { type Failure, type Outcome, refuse } from '../core/outcome.ts';
import { type GatePolicy, type Handler, type PlainData, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate, Narrowing } from '../core/stage.ts';
import { strainedAmong } from '../core/strain.ts';

/** Options of {@link perKey}. */
export interface PerKeyOptions extends PolicyOptions {
  /** How many keys have a policy of their own at once. @defaultValue `10_000` */
  readonly max?: number;
  /** A policy not asked for this long is let go, once it is at rest. @defaultValue `'10m'` */
  readonly idle?: Duration;
  /** What happens to a call without a key: it passes as if the policy were not there, or it is refused. @defaultValue `'pass'` */
  readonly missing?: 'pass' | 'refuse';
}

declare module '../core/events.ts' {
  interface EventFields {
    'per-key.shared': { readonly size: number };
  }
}

/**
 * A policy that can say whether it is as good as new at `now` (ms), calls under way aside: letting it go and making a new one for the same key changes
 * nothing. One that cannot say so counts as at rest when it was not asked for the time of `idle`.
 */
export interface Resting {
  atRest(now: number): boolean;
}

/** How many keys have a policy of their own (`size`), how many may (`max`), and how many policies are shared by keys for which there was no room. */
export type PerKeySnapshot = PlainData & Readonly<Record<'size' | 'max' | 'shared', number>>;

/** A policy for each key. */
export interface PerKey<Child extends GatePolicy> extends GatePolicy {
  readonly kind: 'per-key';
  /** The policy of this key, if it has one of its own now. */
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
}

/** The option table. */
export const perKeyFields: Fields<PerKeySettings> = {
  max: count({ min: 1 }).or(10_000),
  idle: duration({ infinite: true }).or('10m'),
  missing: oneOf('pass', 'refuse').or('pass'),
  ...commonFields,
};

/** So many policies, and no more than `max`, are shared by keys for which there is no room. */
const MOST_SHARED = 1024;

/**
 * Keeps a gate policy (limiter, bulkhead, circuit breaker, ...) for each `call.key`, made by `factory` when the key first comes. Keys never affect
 * each other, and any string is a key like any other.
 *
 * Memory is bounded by `max`. To make room only policies at rest are let go, those not asked for longest first, so a flood of new keys cannot make
 * an offender's count forgotten. Where there is no room, new keys share a fixed set of policies, by a hash nobody can predict: they may be refused
 * for what others did, and never get more than the policy allows.
 *
 * The factory is called once at the start, with an empty key, to see what it makes; if it takes no key, wrong options are refused then. What it throws
 * when a key comes is what the call gets.
 *
 * @throws OptionsError if an option is wrong, or the factory makes something that is no gate policy
 */
export function perKey<Child extends GatePolicy>(factory: (key: string) => Child, options: PerKeyOptions = {}): PerKey<Child> {
  if (typeof factory !== 'function')
    throw new OptionsError([{ path: 'perKey', expected: 'a function (key) => policy', got: show(factory) }]);
  return new PerKeyPolicy(factory, readOptions('perKey', perKeyFields, options));
}

class PerKeyPolicy<Child extends GatePolicy> implements PerKey<Child> {
  readonly kind = 'per-key';
  readonly childKind: string;
  readonly name: string | undefined;
  readonly mode: Mode;
  readonly tracks: boolean;
  readonly settings: PerKeySettings;
  readonly #factory: (key: string) => Child;
  readonly #specimen: Child | undefined;
  #latest: Child | undefined = undefined;
  readonly #own: LRUCache<string | bigint, Kept<Child>>;
  #shared: Places<Kept<Child>> | undefined = undefined;

  constructor(factory: (key: string) => Child, settings: PerKeySettings) {
    this.settings = settings;
    this.name = settings.name;
    this.mode = settings.mode;
    this.#factory = factory;
    this.#specimen = this.#try();
    this.childKind = this.#specimen?.kind ?? 'by key';
    this.tracks = this.#specimen?.tracks === true;
    this.#own = new LRUCache({ max: settings.max });
  }

  get size(): number {
    return this.#own.size;
  }

  get(key: string): Child | undefined {
    return this.#own.peek(identify(key))?.policy;
  }

  keys(): string[] {
    return Array.from(this.#own.keys(), (id) => (typeof id === 'string' ? id : `sha256:${id.toString(16).padStart(32, '0')}`));
  }

  gate(scope: Scope): Gate {
    this.#shared ??= new Places(Math.min(this.settings.max, MOST_SHARED), scope.random() * 2 ** 32);
    return new PerKeyGate(this as unknown as PerKeyPolicy<GatePolicy>, scope);
  }

  mount(next: Handler, scope: Scope): Handler {
    return mountAlone(this, next, scope);
  }

  strained(call: Call): boolean {
    const own = call.key === undefined ? undefined : this.get(call.key);
    return own !== undefined && strainedAmong([own], call) !== undefined;
  }

  snapshot(): PerKeySnapshot {
    return { size: this.size, max: this.settings.max, shared: this.#shared?.taken ?? 0 };
  }

  describe(): PlainData {
    const { max, idle, missing } = this.settings;
    const each = this.#factory.length > 0 ? undefined : this.#specimen;
    return { max, idle, missing, each: each === undefined ? 'by key' : { kind: each.kind, ...each.describe() } };
  }

  /** What is kept for this key: a policy of its own or, if there is no room, a shared one. */
  find(key: string, gate: PerKeyGate, now: number): Kept<Child> {
    const id = identify(key);
    const found = this.#own.get(id) ?? this.#admit(key, id, gate, now);
    found.seen = now;
    return found;
  }

  #admit(key: string, id: string | bigint, { scope, inner }: PerKeyGate, now: number): Kept<Child> {
    const shared = this.#shared as Places<Kept<Child>>;
    const place = String(id);
    const before = shared.get(place);
    if (before !== undefined && !this.#atRest(before, now)) return before;
    const fresh = new Kept(this.#make(key), inner, now);
    const { max, idle } = this.settings;
    const isIdle = ({ seen }: Kept): boolean => now - seen >= idle;
    makeRoom(this.#own, this.size === max, isIdle, (kept) => this.#atRest(kept, now));
    const room = this.size < max;
    shared.set(place, room ? undefined : fresh);
    if (room) this.#own.set(typeof id === 'string' ? detach(id) : id, fresh);
    else if (scope.listening) scope.emit('per-key.shared', 'warn', undefined, { size: this.size });
    return fresh;
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

  #atRest({ policy, calls, seen }: Kept<Child>, now: number): boolean {
    if (calls > 0) return false;
    const { atRest } = policy as Partial<Resting>;
    return typeof atRest === 'function' ? atRest.call(policy, now) : now - seen >= this.settings.idle;
  }
}

/** A pass: that of the key's own policy, or for a call without a key just the call as it goes on inward. */
type Pass = KeptPass | Narrowing;

/** The policies of all keys as one pipeline sees them. */
class PerKeyGate implements Gate<Pass> {
  readonly narrows = true;
  readonly timeless = true;
  readonly policy: PerKeyPolicy<GatePolicy>;
  readonly scope: Scope;
  /** What the policies of the keys see: their refusals and events name their kind too. */
  readonly inner: Scope;

  constructor(policy: PerKeyPolicy<GatePolicy>, scope: Scope) {
    this.policy = policy;
    this.scope = scope;
    const name = scope.policy ?? policy.kind;
    this.inner = name === policy.childKind ? scope : scope.for(`${name} (${policy.childKind})`);
  }

  enter(call: Call, now: number): Pass | Failure | Promise<Pass | Failure> {
    const { key } = call;
    if (key !== undefined) return this.policy.find(key, this, now).enter(call, this.inner, now);
    return this.policy.settings.missing === 'pass' ? { inner: call } : this.#refuse();
  }

  settle(pass: Pass, outcome: Outcome): void {
    if (pass instanceof KeptPass) pass.settle(outcome);
  }

  cancel(pass: Pass): void {
    if (pass instanceof KeptPass) pass.cancel();
  }

  #refuse(): Failure {
    const { pipeline, policy, stack } = this.scope;
    return refuse(
      made(RejectedError, `${pipeline}: ${policy} refuses calls without a key (missing: 'refuse')`, { pipeline, policy }, stack),
    );
  }
}
