import { type Clock, isClock, systemClock } from '../../core/clock.ts';
import { type Duration, type Fields, duration, field, flag, fn, oneOf } from '../../core/options.ts';
import { type ByteSize, byteSize } from '../recording/byte-size.ts';
import type { Eventually, IdempotencyStore } from './store.ts';

/**
 * Options of `idempotency`.
 *
 * @typeParam Req - the request as the framework shows it
 */
export interface IdempotencyOptions<Req> {
  /** Which methods are looked at. @defaultValue `['POST', 'PATCH']` */
  readonly methods?: readonly string[];
  /** Whether such a request must have a key; without one it gets a 400. @defaultValue `false` */
  readonly required?: boolean;
  /** How long an outcome is kept. @defaultValue `'24h'` */
  readonly ttl?: Duration;
  /**
   * How long a key stays taken when nothing is heard any more of the request that took it: its process has died, or its client has left and the handler does not come to an
   * end. While the client waits, the key stays taken.
   *
   * @defaultValue `'1m'`
   */
  readonly lease?: Duration;
  /**
   * Who asks: keys of one scope mean nothing in another, and no answer ever comes out of it. Give it the tenant or the user. Where it says `undefined`, the default stands.
   *
   * @defaultValue the fields `Authorization`, `Cookie` and `X-Api-Key`, with host and path
   */
  readonly scope?: (req: Req) => string | undefined;
  /**
   * What must be the same in a request that repeats another, beside method, host and URL. The body is a stream and is not read here: behind a body parser, answer with a hash of what it
   * has read.
   *
   * @defaultValue the media type and `Content-Length`
   */
  readonly fingerprint?: (req: Req) => Eventually<string>;
  /** The longest body that is kept; of a longer one is known only that the request was carried out, and repetitions get a 409. @defaultValue `'1mb'` */
  readonly maxBytes?: ByteSize;
  /**
   * Which answers are outcomes, by their status. Any other gives the key back, so that the request can be tried again.
   *
   * @defaultValue below 500, and none of 401, 408, 425, 429, 499
   */
  readonly storeWhen?: (status: number) => boolean;
  /** Whether `Set-Cookie` is kept, and sent again to whoever repeats the request. @defaultValue `false` */
  readonly setCookie?: boolean;
  /** Where outcomes are kept. @defaultValue a `memoryIdempotencyStore()` of its own */
  readonly store?: IdempotencyStore;
  /** How long the store may take to say what it knows. @defaultValue `'1s'` */
  readonly storeTimeout?: Duration;
  /** What happens when the store fails or takes too long: the request is carried out unprotected (`open`), or it gets a 503 (`closed`). @defaultValue `'closed'` */
  readonly onStoreError?: 'open' | 'closed';
  /** Is told what went wrong in the store, for logs. @defaultValue none */
  readonly onError?: (error: unknown) => void;
  /** Where time comes from. @defaultValue the clock of the process */
  readonly clock?: Clock;
}

/** The same options, as read. */
export interface IdempotencySettings<Req> {
  readonly methods: readonly string[];
  readonly required: boolean;
  readonly ttl: number;
  readonly lease: number;
  readonly scope: ((req: Req) => string | undefined) | undefined;
  readonly fingerprint: ((req: Req) => Eventually<string>) | undefined;
  readonly maxBytes: number;
  readonly storeWhen: (status: number) => boolean;
  readonly setCookie: boolean;
  readonly store: IdempotencyStore | undefined;
  readonly storeTimeout: number;
  readonly onStoreError: 'open' | 'closed';
  readonly onError: ((error: unknown) => void) | undefined;
  readonly clock: Clock;
}

/** Statuses below 500 that mean: not carried out, and another time it may be. */
const passing: ReadonlySet<number> = new Set([401, 408, 425, 429, 499]);

const storeMethods = ['begin', 'renew', 'complete', 'abandon'] as const;

/** The option table. */
export const idempotencyFields: Fields<IdempotencySettings<never>> = {
  methods: field<readonly string[]>("a list of methods such as 'POST'", (value) => {
    const given: readonly unknown[] = Array.isArray(value) ? value : [];
    const methods = given.flatMap((method) => (typeof method === 'string' && /^[A-Za-z-]+$/.test(method) ? [method.toUpperCase()] : []));
    return methods.length > 0 && methods.length === given.length ? methods : undefined;
  }).or(['POST', 'PATCH']),
  required: flag().or(false),
  ttl: duration({ min: 1, infinite: true }).or('24h'),
  lease: duration({ min: 1 }).or('1m'),
  scope: fn<(req: never) => string | undefined>('(req) => string | undefined').optional(),
  fingerprint: fn<(req: never) => Eventually<string>>('(req) => string').optional(),
  maxBytes: byteSize().or('1mb'),
  storeWhen: fn<(status: number) => boolean>('(status) => boolean').or((status: number) => status < 500 && !passing.has(status)),
  setCookie: flag().or(false),
  store: field<IdempotencyStore>(`a store: an object with ${storeMethods.join(', ')}`, (value) => {
    const store = value as Partial<IdempotencyStore> | null;
    return typeof store === 'object' && storeMethods.every((name) => typeof store?.[name] === 'function')
      ? (store as IdempotencyStore)
      : undefined;
  }).optional(),
  storeTimeout: duration({ min: 1 }).or('1s'),
  onStoreError: oneOf('open', 'closed').or('closed'),
  onError: fn<(error: unknown) => void>('(error) => void').optional(),
  clock: field<Clock>('a clock', (value) => (isClock(value) ? value : undefined)).or(systemClock),
};
