import { Places } from '../../algorithms/places.ts';
import { type Recent, makeRoom } from '../../algorithms/room.ts';
import { Audience } from '../../core/audience.ts';
import type { Call } from '../../core/call.ts';
import { detach, identify } from '../../core/digest.ts';
import type { GatePolicy } from '../../core/policy.ts';
import type { Quota } from '../../core/quota.ts';
import type { Scope } from '../../core/scope.ts';
import { type Entered, type Held, Holdings } from './holdings.ts';
import { type Id, shown } from './key-text.ts';

/** What is held for whom, in the order of its use. */
export interface Shelf<Value> extends Recent<Id, Value> {
  readonly size: number;
  /** `false` if there was no room after all. */
  set(id: Id, value: Value): unknown;
  /** The latest used first. */
  keys(): Iterable<Id>;
  /** The same for those who look for what may go, if that is not to count as its use. */
  readonly order?: Recent<Id, Value>;
}

/** So many policies, and no more than `max`, are shared by keys for which there is no room. */
const MOST_SHARED = 1024;

/** How many keys may have one of their own, and how long (ms) one that is not asked for stays at least. */
interface Bounds {
  readonly max: number;
  readonly idle: number;
}

/**
 * Which key has which policy: one of its own for each of at most `max` keys, the latest asked for last, and shared ones for those for whom there is no
 * room. Only what is at rest is let go.
 */
export class Registry<Child extends GatePolicy> {
  readonly #audience = new Audience();
  readonly #holdings: Holdings<Child>;
  readonly #max: number;
  readonly #idle: number;
  readonly #make: (key: string) => Child;
  readonly #own: Shelf<Held<Child>>;
  #shared: Places<Held<Child>> | undefined = undefined;
  /** The keys that have one of their own, in the order in which they go. */
  readonly #line: Recent<Id, Held<Child>>;
  /** Events to be sent once the call is in: listeners may make calls too. */
  readonly #news: (() => void)[] = [];
  /** Nobody has been idle for long enough before that, ms. */
  #idleFrom = -Infinity;

  /** `own` must have room for `max`; `make` makes a policy for a key; `alike`: the same for each. */
  constructor(own: Shelf<Held<Child>>, { max, idle }: Bounds, alike: boolean, make: (key: string) => Child) {
    this.#own = own;
    this.#max = max;
    this.#idle = idle;
    this.#make = make;
    this.#holdings = new Holdings(alike);
    const order = own.order ?? own;
    this.#line = { rkeys: () => order.rkeys(), peek: (id) => order.peek(id), get: (id) => order.get(id), delete: (id) => this.#drop(id) };
  }

  get size(): number {
    return this.#own.size;
  }

  /** Policies that are shared. */
  get shared(): number {
    return this.#shared?.taken ?? 0;
  }

  /** The keys that have a policy of their own, latest asked for first; instead of a long one its hash. */
  keys(): string[] {
    return Array.from(this.#own.keys(), shown);
  }

  policyOf(key: string): Child | undefined {
    const held = this.#own.peek(identify(key));
    return held === undefined ? undefined : this.#holdings.policyOf(held, () => this.#make(key));
  }

  isStrained(key: string, call: Call): boolean {
    const held = this.#own.peek(identify(key));
    return held !== undefined && this.#holdings.isStrained(held, call);
  }

  /** What this key is allowed; `undefined` if nothing is held for it. */
  quotas(key: string, name: string, now: number): readonly Quota[] | undefined {
    const id = identify(key);
    const held = this.#own.peek(id) ?? this.#busyAt(String(id), now);
    return held === undefined ? undefined : this.#holdings.quotas(held, key, name, now);
  }

  /** A pipeline mounts it. */
  join(scope: Scope): void {
    this.#shared ??= new Places(Math.min(this.#max, MOST_SHARED), scope.random() * 2 ** 32);
    this.#audience.add(scope);
  }

  /** Reports what a function of the user's threw. */
  report(callback: string, error: unknown): void {
    this.#audience.report(callback, error);
  }

  /** Takes a call through the gate of its key, as `inner` sees it. */
  enter(key: string, call: Call, outer: Scope, inner: Scope, now: number): Entered | Promise<Entered> {
    const id = identify(key);
    const held = this.#own.get(id) ?? this.#admit(key, id, call, outer, inner, now);
    this.#holdings.see(held, now);
    const answer = this.#holdings.enter(held, call, inner, now);
    if (now >= this.#idleFrom) this.#tidy(now);
    if (this.#news.length > 0) this.#tell();
    return answer;
  }

  #admit(key: string, id: Id, call: Call, outer: Scope, inner: Scope, now: number): Held<Child> {
    const place = String(id);
    const shared = this.#busyAt(place, now);
    if (shared !== undefined) return shared;
    const policy = this.#make(key);
    const meanwhile = this.#own.get(id) ?? this.#busyAt(place, now); // whoever made the policy may have made calls too
    if (meanwhile !== undefined) return meanwhile;
    if (this.size >= this.#max) makeRoom(this.#line, true, always, (held) => this.#isAtRest(held, now));
    const room = this.size < this.#max;
    const held = this.#holdings.hold(policy, inner, now);
    const own = room && this.#own.set(typeof id === 'string' ? detach(id) : id, held) !== false;
    this.#share(place, own ? undefined : held);
    if (!own && outer.listening) this.#news.push(() => outer.emit('per-key.shared', 'warn', call, { size: this.size }));
    return held;
  }

  /** What is shared at this place, if it may not be let go. */
  #busyAt(place: string, now: number): Held<Child> | undefined {
    const held = this.#shared?.get(place);
    return held === undefined || this.#isAtRest(held, now) ? undefined : held;
  }

  /** Puts something in place of what is shared there. */
  #share(place: string, held: Held<Child> | undefined): void {
    const before = this.#shared?.get(place);
    if (before !== undefined) this.#holdings.letGo(before);
    this.#shared?.set(place, held);
  }

  /** Lets go of a few that have been idle for long, if they are at rest. The others are looked at again once they have been for as long once more. */
  #tidy(now: number): void {
    this.#idleFrom = now + this.#idle;
    const isIdle = (held: Held<Child>): boolean => {
      const from = this.#holdings.seen(held) + this.#idle;
      this.#idleFrom = Math.max(from, now);
      return from <= now;
    };
    const mayGo = (held: Held<Child>): boolean => {
      const atRest = this.#isAtRest(held, now);
      if (!atRest) this.#holdings.see(held, now);
      return atRest;
    };
    makeRoom(this.#line, false, isIdle, mayGo);
  }

  #isAtRest(held: Held<Child>, now: number): boolean {
    return this.#holdings.isAtRest(held, now - this.#idle, now);
  }

  #drop(id: Id): boolean {
    const held = this.#line.peek(id) as Held<Child>;
    this.#own.delete(id);
    this.#holdings.letGo(held);
    const { size } = this;
    this.#news.push(() => this.#audience.emit('per-key.dropped', 'debug', undefined, { key: shown(id), size }));
    return true;
  }

  /** Tells what there is to tell. */
  #tell(): void {
    for (const tell of this.#news.splice(0)) tell();
  }
}

/** Where there must be room it does not matter how long somebody has been idle. */
function always(): boolean {
  return true;
}
