/**
 * Hot key: finds the keys that are asked for most by itself, and limits those alone.
 *
 * @example
 * ```ts
 * import { hotKey, pipeline } from 'breakwater';
 *
 * const hot = hotKey({ limit: 100, window: '1m' });
 * const products = pipeline([hot]);
 * const ask = (key: string) => products.executeOutcome(() => 'served', { key });
 * const outcomes = await Promise.all(Array.from({ length: 500 }, (_, i) => ask(i % 2 === 0 ? 'the new phone' : `product ${i}`)));
 * console.log(hot.hottest()[0]); // => { key: 'the new phone', calls: 250, hot: true }
 * console.log(outcomes.some(({ ok }) => !ok)); // => true
 * ```
 *
 * @module
 */

import { HotKeys, type Charge, type Id, type KeyAccount } from '../algorithms/hot-keys.ts';
import { Bucket } from '../algorithms/meters/token-bucket.ts';
import { Audience } from '../core/audience.ts';
import type { Call } from '../core/call.ts';
import type { Clock } from '../core/clock.ts';
import { identify } from '../core/digest.ts';
import { type OptionProblem, RateLimitedError } from '../core/errors.ts';
import { made } from '../core/made.ts';
import { type CommonSettings, type Mode, type PolicyOptions, commonFields } from '../core/mode.ts';
import { type Duration, type Fields, count, duration, fn, readOptions, show } from '../core/options.ts';
import { type Failure, refuse } from '../core/outcome.ts';
import { type GatePolicy, type Handler, type PlainData, mountAlone } from '../core/policy.ts';
import { type Quota, noQuotas } from '../core/quota.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';
import { STRAIN } from '../core/strain.ts';
import { type KeysOf, idsOf, keep, shown } from './hot-key/ids.ts';
import { type HotKeyEntry, type HotKeySnapshot, entriesOf, hotAmong, overview, quotasOf } from './hot-key/overview.ts';
import { type KeyLimit, valuesField } from './hot-key/values.ts';

/** Options of {@link hotKey}. */
export interface HotKeyOptions extends PolicyOptions {
  /** What a hot key is allowed in each `window`. */
  readonly limit: number;
  /** The time that `limit` is counted over, and that calls are counted over to find out which keys are hot. @defaultValue `'1s'` */
  readonly window?: Duration;
  /** From so many calls in a window on a key is hot; at most `limit`. @defaultValue half of `limit`, at least 2 */
  readonly threshold?: number;
  /** How many keys are watched one by one, those that come most often. @defaultValue `100` */
  readonly top?: number;
  /** The key of a call, or several: then each of them must allow it. @defaultValue `call.key` */
  readonly key?: KeysOf;
  /** Keys with a limit of their own, hot or not; `false`: never limited. @defaultValue none */
  readonly values?: Readonly<Record<string, KeyLimit | false>>;
}

declare module '../core/events.ts' {
  interface EventFields {
    /** A key is hot: from now on it is limited. */
    'hot-key.detected': { readonly hot: string; readonly calls: number };
    /** It is hot no more. */
    'hot-key.cooled': { readonly hot: string };
  }
}

/** Finds and limits hot keys. Pipelines that hold the same one share its counts. */
export interface HotKey extends GatePolicy {
  readonly kind: 'hot-key';
  /** The keys that are asked for most, the hottest first. */
  hottest(): HotKeyEntry[];
  snapshot(): HotKeySnapshot;
}

/** Options as read. */
export interface HotKeySettings extends CommonSettings {
  readonly limit: number;
  readonly window: number;
  readonly threshold: number | undefined;
  readonly top: number;
  readonly key: KeysOf | undefined;
  readonly values: ReadonlyMap<string, KeyLimit | false>;
}

/** The option table. */
export const hotKeyFields: Fields<HotKeySettings> = {
  limit: count({ min: 1 }),
  window: duration({ min: 1 }).or('1s'),
  threshold: count({ min: 1 }).optional(),
  top: count({ min: 1 }).or(100),
  key: fn<KeysOf>('(call) => key, keys or undefined').optional(),
  values: valuesField.or({}),
  ...commonFields,
};

/**
 * Limits each key that is hot to `limit` calls in `window`, by a token bucket: the others get a {@link RateLimitedError} with the key, and when it may come again. A
 * key is hot if it is among the `top` most asked for, with at least `threshold` calls in a window; all other keys pass, and nothing is kept for them.
 *
 * Memory is fixed, whatever the number of keys. A key that keeps within the limit is never refused. A hot one gets at most twice the limit in any window, and what
 * the counts have missed of it before it was found.
 *
 * After Gong et al., "HeavyKeeper", USENIX ATC 2018; several keys and limits by value as in Alibaba Sentinel.
 *
 * @throws OptionsError if an option is wrong
 */
export function hotKey(options: HotKeyOptions): HotKey {
  return new HotKeyPolicy(readOptions('hotKey', hotKeyFields, options, atMostLimit));
}

function atMostLimit({ limit, threshold = limit }: HotKeySettings): OptionProblem | undefined {
  if (threshold <= Math.max(2, limit)) return undefined;
  return { path: 'threshold', expected: `at most the limit (${limit}): a key may do as much before it is found`, got: String(threshold) };
}

class HotKeyPolicy implements HotKey {
  readonly kind = 'hot-key';
  readonly name: string | undefined;
  readonly mode: Mode;
  readonly settings: HotKeySettings & { readonly threshold: number };
  readonly #audience = new Audience();
  readonly #free = new Set<Id>();
  #keys: HotKeys | undefined = undefined;
  #clock: Clock | undefined = undefined;

  constructor(settings: HotKeySettings) {
    this.settings = { ...settings, threshold: settings.threshold ?? Math.max(2, Math.ceil(settings.limit / 2)) };
    this.name = settings.name;
    this.mode = settings.mode;
  }

  gate(scope: Scope): Gate {
    this.#audience.add(scope);
    this.#clock ??= scope.clock;
    this.#keys ??= this.#begin(scope);
    return new HotKeyGate(this, scope);
  }

  mount(next: Handler, scope: Scope): Handler {
    return mountAlone(this, next, scope);
  }

  hottest(): HotKeyEntry[] {
    return entriesOf(this.#looked());
  }

  quotasFor(key: string | undefined, name: string, now: number): readonly Quota[] {
    return this.settings.key === undefined ? quotasOf(this.#looked(), key, name, now) : noQuotas;
  }

  /** Of its keys one is hot and has nearly used up its limit. */
  strained(call: Call): boolean {
    const now = this.#clock?.now() ?? 0;
    const hot = hotAmong(this.#looked(), this.idsOf(call, call.scope));
    return hot.some(({ meter }) => meter.available(now) < (1 - STRAIN) * meter.limit.burst);
  }

  atRest(): boolean {
    const accounts = this.#looked()?.hottest() ?? [];
    return accounts.every(({ heat, meter }) => heat === 0 && meter.isFresh(this.#clock?.now() ?? 0));
  }

  snapshot(): HotKeySnapshot {
    return overview(this.#looked());
  }

  describe(): PlainData {
    const { limit, window, threshold, top, key, values } = this.settings;
    return { limit, window, threshold, top, key: key === undefined ? 'call.key' : 'computed', values: Object.fromEntries(values) };
  }

  /** The keys of a call that may be limited, each once. */
  idsOf(call: Call, scope: Scope): readonly Id[] {
    const ids = idsOf(call, scope, this.settings.key);
    return this.#free.size === 0 ? ids : ids.filter((id) => !this.#free.has(id));
  }

  /** The counts, as of `now` by this clock. */
  at(clock: Clock, now: number): HotKeys {
    this.#clock = clock;
    const keys = this.#keys as HotKeys;
    for (const { id } of keys.advance(now)) this.#audience.emit('hot-key.cooled', 'info', undefined, { hot: shown(id) });
    return keys;
  }

  /** Tells that a key has become hot. */
  tell({ id, calls }: KeyAccount, call: Call): void {
    this.#audience.emit('hot-key.detected', 'warn', call, { hot: shown(id), calls });
  }

  #looked(): HotKeys | undefined {
    return this.#clock === undefined ? undefined : this.at(this.#clock, this.#clock.now());
  }

  #begin({ clock, random }: Scope): HotKeys {
    const { window, limit, values } = this.settings;
    const meter = (most: number, now: number): Bucket => new Bucket({ rate: most, per: window, burst: most }, most, now);
    const keys = new HotKeys(this.settings, (now) => meter(limit, now), keep, Math.floor(random() * 2 ** 32));
    for (const [key, own] of values) {
      const id = identify(key);
      if (own === false) this.#free.add(id);
      else keys.fix(id, meter(own.limit, clock.now()));
    }
    return keys;
  }
}

/** What the counts hold of a call: of each of its keys a charge. */
type Pass = readonly Charge[];
const free: Pass = [];

/** Hot keys as one pipeline sees them. */
class HotKeyGate implements Gate<Pass> {
  readonly timeless = true;
  readonly policy: HotKeyPolicy;
  readonly scope: Scope;

  constructor(policy: HotKeyPolicy, scope: Scope) {
    this.policy = policy;
    this.scope = scope;
  }

  enter(call: Call, now: number): Pass | Failure {
    const { policy, scope } = this;
    const ids = policy.idsOf(call, scope);
    if (ids.length === 0) return free;
    const keys = policy.at(scope.clock, now);
    let longest = 0;
    let busiest: KeyAccount | undefined = undefined;
    for (const id of ids) {
      const account = keys.find(id);
      const wait = account?.hot === true ? account.meter.wait(1, now) : 0;
      if (wait > longest) [longest, busiest] = [wait, account];
    }
    if (busiest !== undefined) return this.#refuse(keys, ids, busiest, longest);
    const charges: Charge[] = [];
    for (const id of ids) {
      const charge = keys.pass(id, now);
      charges.push(charge);
      if (charge.heats) policy.tell(keys.find(id) as KeyAccount, call);
    }
    return charges;
  }

  settle(): void {} // the call ran: it counts

  cancel(charges: Pass): void {
    if (charges.length === 0) return;
    const now = this.scope.clock.now();
    const keys = this.policy.at(this.scope.clock, now);
    for (const charge of charges) keys.giveBack(charge, now);
  }

  #refuse(keys: HotKeys, ids: readonly Id[], { id, meter }: KeyAccount, wait: number): Failure {
    for (const each of ids) keys.refuse(each);
    const { pipeline, policy, stack } = this.scope;
    const { burst, per } = meter.limit;
    const key = shown(id);
    const message = `${pipeline}: ${policy} allows a key ${burst} calls per ${per} ms, and ${show(key)} has used them`;
    return refuse(made(RateLimitedError, message, { pipeline, policy, key, retryAfter: wait }, stack));
  }
}
