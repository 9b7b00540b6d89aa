/** Where outcomes of requests are kept by their idempotency keys: what a store must do, and one in the memory of this process. */

import { LRUCache } from 'lru-cache';
import { type Clock, isClock, systemClock, uniqueId, systemRandom } from '../../core/clock.ts';
import { StoreError } from '../../core/errors.ts';
import { type Fields, count, field, readOptions } from '../../core/options.ts';
import { type ByteSize, byteSize } from '../recording/byte-size.ts';
import { sizeOfHeaders } from '../recording/recorded.ts';
import type { ReplyHeaders } from '../recording/reply.ts';

/** How a request went, as it is kept. Plain data: a store may write it down. */
export interface StoredOutcome {
  readonly status: number;
  readonly headers: ReplyHeaders;
  /** `undefined` if it was too large to be kept: the request was carried out, and its answer cannot be given again. */
  readonly body: Uint8Array | undefined;
}

/** What is known of a key. */
export type Begun =
  /** Nothing: the key is now held, by whoever has this token. */
  | { readonly state: 'new'; readonly token: string }
  /** Another request with it is being carried out. */
  | { readonly state: 'running' }
  | { readonly state: 'done'; readonly outcome: StoredOutcome }
  /** It was used for a request that was not the same. */
  | { readonly state: 'mismatch' };

/** What a store does at once or later. */
export type Eventually<T> = T | PromiseLike<T>;

/**
 * Keeps outcomes by key. Keys and fingerprints are hexadecimal digits, always as many; durations are ms.
 *
 * Every method must be atomic: of a hundred `begin` with one key at once, one is told `new`.
 */
export interface IdempotencyStore {
  /**
   * Asks for a key, and takes it if it is free. Who takes it holds it for `lease`, and longer by `renew`; if it is neither completed nor given back until then, it is
   * free again: its process has died.
   */
  begin(key: string, fingerprint: string, lease: number): Eventually<Begun>;
  /** Holds the key for another `lease` from now, if it is held with this token. */
  renew(key: string, token: string, lease: number): Eventually<void>;
  /** Keeps the outcome for `ttl`, if the key is held with this token or was not taken by another after the lease had run out. */
  complete(key: string, token: string, fingerprint: string, outcome: StoredOutcome, ttl: number): Eventually<void>;
  /** Gives the key back, if it is held with this token: the next request with it is carried out. */
  abandon(key: string, token: string): Eventually<void>;
}

/** Options of {@link memoryIdempotencyStore}. */
export interface MemoryIdempotencyStoreOptions {
  /** How many outcomes are kept, and how many keys are held at once. Where more come, those asked for longest ago go. @defaultValue `10_000` */
  readonly max?: number;
  /** How much memory they may take. @defaultValue `'64mb'` */
  readonly maxBytes?: ByteSize;
  /** Where time comes from. @defaultValue the clock of the process */
  readonly clock?: Clock;
}

interface MemorySettings {
  readonly max: number;
  readonly maxBytes: number;
  readonly clock: Clock;
}

/** The option table. */
export const memoryIdempotencyStoreFields: Fields<MemorySettings> = {
  max: count({ min: 1 }).or(10_000),
  maxBytes: byteSize().or('64mb'),
  clock: field('a clock', (value) => (isClock(value) ? value : undefined)).or(systemClock),
};

/**
 * A store in the memory of this process, bounded by count and by bytes. Other processes know nothing of it: behind a load balancer each has its own.
 *
 * Outcomes make room for newer ones; keys that are held do not. If there are too many of those, `begin` throws a `StoreError`.
 *
 * @throws OptionsError if an option is wrong
 *
 * @example
 * ```ts
 * import { idempotency, memoryIdempotencyStore } from 'breakwater/node';
 *
 * const store = memoryIdempotencyStore({ max: 1000, maxBytes: '8mb' });
 * const once = idempotency({ store, ttl: '1h' });
 * console.log(once.length, store.size); // => 3 0
 * ```
 */
export function memoryIdempotencyStore(options: MemoryIdempotencyStoreOptions = {}): MemoryIdempotencyStore {
  return new MemoryIdempotencyStore(readOptions('memoryIdempotencyStore', memoryIdempotencyStoreFields, options));
}

interface Held {
  readonly token: string;
  readonly fingerprint: string;
  until: number;
}

interface Kept {
  readonly fingerprint: string;
  readonly outcome: StoredOutcome;
  readonly until: number;
}

/** What an outcome takes beside its body and fields: keys, fingerprints, objects. About, bytes. */
const OVERHEAD = 512;

/** Outcomes in the memory of this process. */
export class MemoryIdempotencyStore implements IdempotencyStore {
  readonly #clock: Clock;
  readonly #max: number;
  /** Keys that are held, those first whose lease was given longest ago. */
  readonly #held = new Map<string, Held>();
  readonly #kept: LRUCache<string, Kept>;

  /** @internal */
  constructor({ max, maxBytes, clock }: MemorySettings) {
    this.#clock = clock;
    this.#max = max;
    const sizeCalculation = ({ outcome: { headers, body } }: Kept): number => OVERHEAD + sizeOfHeaders(headers) + (body?.byteLength ?? 0);
    this.#kept = new LRUCache({ max, maxSize: maxBytes, sizeCalculation });
  }

  /** How many outcomes are kept; those whose time is over count until they make room or are asked for. */
  get size(): number {
    return this.#kept.size;
  }

  /** How many keys are held. */
  get held(): number {
    return this.#held.size;
  }

  /** How much memory the outcomes take, about, bytes. */
  get bytes(): number {
    return this.#kept.calculatedSize;
  }

  begin(key: string, fingerprint: string, lease: number): Begun {
    const now = this.#clock.now();
    const kept = this.#kept.get(key);
    if (kept !== undefined) {
      if (now < kept.until) return kept.fingerprint === fingerprint ? { state: 'done', outcome: kept.outcome } : { state: 'mismatch' };
      this.#kept.delete(key);
    }
    const held = this.#held.get(key);
    if (held !== undefined && now < held.until) return { state: held.fingerprint === fingerprint ? 'running' : 'mismatch' };
    this.#held.delete(key);
    if (this.#held.size >= this.#max) this.#clear(now);
    const token = uniqueId(systemRandom);
    this.#held.set(key, { token, fingerprint, until: now + lease });
    return { state: 'new', token };
  }

  renew(key: string, token: string, lease: number): void {
    const held = this.#held.get(key);
    if (held?.token !== token) return;
    held.until = this.#clock.now() + lease;
    this.#held.delete(key);
    this.#held.set(key, held);
  }

  complete(key: string, token: string, fingerprint: string, outcome: StoredOutcome, ttl: number): void {
    const held = this.#held.get(key);
    const taken = held === undefined ? this.#kept.has(key) : held.token !== token;
    if (taken) return;
    this.#held.delete(key);
    const until = this.#clock.now() + ttl;
    this.#kept.set(key, { fingerprint, outcome, until });
    // Too large for all that there is: what must be known is that it was carried out.
    if (!this.#kept.has(key))
      this.#kept.set(key, { fingerprint, outcome: { status: outcome.status, headers: {}, body: undefined }, until });
  }

  abandon(key: string, token: string): void {
    if (this.#held.get(key)?.token === token) this.#held.delete(key);
  }

  /** Gives back what dead holders hold. */
  #clear(now: number): void {
    for (const [key, { until }] of this.#held) {
      if (until > now) break;
      this.#held.delete(key);
    }
    if (this.#held.size >= this.#max)
      throw new StoreError(`${this.#max} idempotency keys are held at once, and no more may be: see max of memoryIdempotencyStore`);
  }
}
