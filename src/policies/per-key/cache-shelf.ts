import type { Recent } from '../../algorithms/room.ts';
import { OptionsError } from '../../core/errors.ts';
import type { Kept } from '../../core/kept.ts';
import { show } from '../../core/options.ts';
import type { GatePolicy } from '../../core/policy.ts';
import type { PerKeyStore } from './given-store.ts';
import { type Id, idOf, textOf } from './key-text.ts';
import type { Shelf } from './registry.ts';

/**
 * A user's cache as the shelf: in it stand the policies themselves, under the keys as texts. What is gone from it, whoever took it out, is gone; who has a
 * pass goes on with the policy that gave it.
 */
export class CacheShelf<Child extends GatePolicy> implements Shelf<Kept<Child>> {
  readonly order: Recent<Id, Kept<Child>>;
  readonly #cache: PerKeyStore<Child>;
  readonly #report: (error: unknown) => void;
  /** What is known of the policies that were put in here. */
  readonly #known = new WeakMap<Child, Kept<Child>>();
  /** While something is put in or taken out the cache calls the user's `dispose`, and the calls that this may make put nothing in and take nothing out: each would bring about another. */
  #changing = false;

  /** `report` is told what functions of the user's threw that the cache asks. */
  constructor(cache: PerKeyStore<Child>, report: (error: unknown) => void) {
    this.#cache = cache;
    this.#report = report;
    this.order = {
      rkeys: () => this.rkeys(),
      peek: (id) => this.#knownOf(cache.peek(textOf(id), { allowStale: true })),
      get: (id) => this.#knownOf(this.#safely(() => cache.get(textOf(id), { updateAgeOnGet: false }))),
      delete: (id) => this.delete(id),
    };
  }

  get size(): number {
    return this.#cache.size;
  }

  /** @throws OptionsError if somebody else put something there */
  get(id: Id): Kept<Child> | undefined {
    const text = textOf(id);
    let policy: Child | undefined;
    try {
      policy = this.#cache.get(text);
    } catch (error) {
      this.#report(error); // its `dispose` threw when time was up
    }
    if (policy === undefined) return undefined;
    const known = this.#known.get(policy);
    if (known !== undefined) return known;
    const expected = 'a cache that perKey alone puts something in';
    throw new OptionsError([{ path: 'perKey.store', expected, got: `a value of somebody else under the key ${show(text)}` }]);
  }

  peek(id: Id): Kept<Child> | undefined {
    return this.#knownOf(this.#cache.peek(textOf(id)));
  }

  /** Whether the cache took it. One that is too large for it, or whose size cannot be told, it does not. */
  set(id: Id, kept: Kept<Child>): boolean {
    if (this.#changing) return false;
    const text = textOf(id);
    this.#known.set(kept.policy, kept);
    this.#change(() => this.#cache.set(text, kept.policy as never));
    return this.#cache.peek(text) === kept.policy;
  }

  delete(id: Id): boolean {
    return this.#change(() => this.#cache.delete(textOf(id))) === true;
  }

  keys(): Iterable<Id> {
    return Array.from(this.#cache.keys(), idOf).filter((id) => this.peek(id) !== undefined);
  }

  /**
   * The keys, the one not used for longest first. Those whose time is up are among them: a cache that is full must be rid of them, and if its iterator
   * passed them over by itself, that could take as long as there are entries.
   */
  *rkeys(): Generator<Id> {
    if (this.#changing) return;
    const cache = this.#cache;
    const texts = cache.rkeys()[Symbol.iterator]();
    let next = givingStale(cache, () => texts.next());
    for (let looked = 0; next.done !== true && looked < MOST_LOOKED_AT; looked++, next = texts.next()) {
      const id = idOf(next.value);
      if (this.order.peek(id) !== undefined) yield id;
    }
  }

  #knownOf(policy: Child | undefined): Kept<Child> | undefined {
    return policy === undefined ? undefined : this.#known.get(policy);
  }

  #change<T>(act: () => T): T | undefined {
    this.#changing = true;
    try {
      return this.#safely(act);
    } finally {
      this.#changing = false;
    }
  }

  #safely<T>(act: () => T): T | undefined {
    try {
      return act();
    } catch (error) {
      this.#report(error);
      return undefined;
    }
  }
}

/** What others put into the cache is passed over, and not without end. */
const MOST_LOOKED_AT = 64;

/** Takes the first step of an iterator while the cache gives what is too old, which is when the iterator asks it. */
function givingStale<T>(cache: PerKeyStore, step: () => T): T {
  const { allowStale } = cache;
  if (allowStale !== false || !Reflect.set(cache, 'allowStale', true)) return step();
  try {
    return step();
  } finally {
    cache.allowStale = allowStale;
  }
}
