import { type Field, type Rule, field } from '../../core/options.ts';
import type { GatePolicy } from '../../core/policy.ts';

/**
 * A cache that policies are kept in, as an `LRUCache<string, Policy>` is one: lru-cache 7 or newer, or what has its methods. What is not used longest
 * comes first in `rkeys` and last in `keys`.
 */
export interface PerKeyStore<Child extends GatePolicy = GatePolicy> {
  /** The policy of this key, which is then the latest used. */
  get(key: string, options?: { updateAgeOnGet?: boolean }): Child | undefined;
  peek(key: string, options?: { allowStale?: boolean }): Child | undefined;
  /** Of what kind the policies are is told by what `get` gives; a `Child` here would keep the compiler from finding it out. */
  set(key: string, policy: never): unknown;
  delete(key: string): boolean;
  keys(): Iterable<string>;
  rkeys(): Iterable<string>;
  readonly size: number;
  /** How many entries it has room for; 0 or nothing: it does not count them. */
  readonly max?: number;
  /** Whether it gives what is too old too. */
  allowStale?: boolean;
  /** How much room it has; 0 or nothing: it does not measure. */
  readonly maxSize?: number;
}

const methods = ['get', 'peek', 'set', 'delete', 'keys', 'rkeys'] as const;

/** The option `store`. */
export const storeField: Field<PerKeyStore | undefined> = field<PerKeyStore>(
  'an LRUCache of lru-cache 7 or newer, or what has its get, peek, set, delete, keys, rkeys and size',
  (value) => {
    if (typeof value !== 'object' || value === null) return undefined;
    const cache = value as Partial<PerKeyStore>;
    return methods.every((name) => typeof cache[name] === 'function') && typeof cache.size === 'number'
      ? (cache as PerKeyStore)
      : undefined;
  },
).optional();

interface Wanted {
  readonly max: number;
  readonly store: PerKeyStore | undefined;
}

/** The options with the room that the cache has, where they do not say how much. */
export function withItsRoom(given: unknown): unknown {
  const { max, store } = (given ?? {}) as { readonly max?: unknown; readonly store?: unknown };
  const room = (store as PerKeyStore | null | undefined)?.max;
  return max === undefined && isCounted(room) ? { ...(given as object), max: room } : given;
}

/** What a cache must be besides. `given`: the options as they were given. */
export function storeRules(given: unknown): readonly Rule<Wanted>[] {
  const sized = (given as { readonly max?: unknown } | undefined)?.max !== undefined;
  return [
    ({ store }) =>
      store === undefined || sized || isCounted(store.max) || isCounted(store.maxSize)
        ? undefined
        : {
            path: 'store',
            expected: 'a cache with max or maxSize, or max for perKey: otherwise callers could fill it without end',
            got: 'neither',
          },
    ({ store, max }) =>
      store === undefined || !isCounted(store.max) || max <= store.max
        ? undefined
        : { path: 'max', expected: `at most ${store.max}, the max of the store`, got: String(max) },
    ({ store }) =>
      store === undefined || !isMeasured(store)
        ? undefined
        : { path: 'store', expected: 'a cache that has sizeCalculation where it has maxSize or maxEntrySize', got: 'none' },
    ({ store }) =>
      store !== undefined && stores.has(store)
        ? { path: 'store', expected: 'a cache for this perKey alone', got: 'the store of another perKey' }
        : undefined,
    ({ store }) =>
      store === undefined || store.size === 0
        ? undefined
        : { path: 'store', expected: 'an empty cache, which perKey alone puts something in', got: `one that holds ${store.size}` },
  ];
}

/** Caches that are somebody's store. */
const stores = new WeakSet<PerKeyStore>();

/** From now on the cache is somebody's store. */
export function claim(store: PerKeyStore): void {
  stores.add(store);
}

function isCounted(max: unknown): max is number {
  return typeof max === 'number' && max >= 1 && max < Infinity;
}

/** Whether the cache wants to know how large each entry is, and has not been told how to find out. */
function isMeasured(store: PerKeyStore & { readonly maxEntrySize?: unknown; readonly sizeCalculation?: unknown }): boolean {
  return (isCounted(store.maxSize) || isCounted(store.maxEntrySize)) && store.sizeCalculation === undefined;
}
