/**
 * Copies of earlier answers, for requests that cannot be served: what `stale-if-error` is about (RFC 5861), within the rules of RFC 9111.
 *
 * @example
 * ```ts
 * import { bulkhead } from 'breakwater';
 * import { guard, staleCopies } from 'breakwater/express';
 *
 * const copies = staleCopies({ maxStale: '10m', maxBytes: '32mb' });
 * const catalogue = guard([bulkhead({ maxConcurrent: 100 })], { fallback: copies });
 * console.log(copies.size, catalogue.length); // => 0 3
 * ```
 *
 * @module
 */

import type { ServerResponse } from 'node:http';
import { LRUCache } from 'lru-cache';
import { type Clock, isClock, systemClock } from '../../core/clock.ts';
import { identify } from '../../core/digest.ts';
import { type Duration, type Fields, count, duration, field, fn, oneOf, readOptions } from '../../core/options.ts';
import { type ByteSize, byteSize } from './byte-size.ts';
import { reuseOf, wantsNoStore } from './cache-rules.ts';
import { isGone, isInterrupted } from './interruption.ts';
import { type Recorded, isWhole, lasting, linesOf, sizeOfHeaders } from './recorded.ts';
import { type Wanted, record } from './recording.ts';
import { type NodeShaped, type RequestHead, type WebShaped, credentialsOf, fieldOf, headOf, placeOf } from './request-head.ts';
import { fieldsOf, recordWeb } from './web-recording.ts';

/** Options of {@link staleCopies}. */
export interface StaleCopiesOptions<Req> {
  /** No copy older than this is given, whatever the answer itself allows. @defaultValue `'10m'` */
  readonly maxStale?: Duration;
  /** A copy younger than this is not made anew. @defaultValue `'1s'` */
  readonly refresh?: Duration;
  /** How many copies are kept. Those not needed longest make room. @defaultValue `1000` */
  readonly max?: number;
  /** How much memory they may take. @defaultValue `'64mb'` */
  readonly maxBytes?: ByteSize;
  /** The longest body that is copied. @defaultValue `'1mb'` */
  readonly maxCopyBytes?: ByteSize;
  /**
   * Whose answers are the same: a copy is given within its scope alone, and at its host. Where it says `undefined`, requests that tell who asks (`Authorization`, `Cookie`, `X-Api-Key`) are not
   * copied, unless the answer is `public`.
   *
   * @defaultValue none
   */
  readonly scope?: (req: Req) => string | undefined;
  /** What becomes of answers with `Set-Cookie`: they are not copied, or copied without it. @defaultValue `'refuse'` */
  readonly setCookie?: 'refuse' | 'strip';
  /** Where time comes from. @defaultValue the clock of the process */
  readonly clock?: Clock;
}

/** A copy, ready to be sent. */
export interface StaleAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

interface StaleCopiesSettings<Req> {
  readonly maxStale: number;
  readonly refresh: number;
  readonly max: number;
  readonly maxBytes: number;
  readonly maxCopyBytes: number;
  readonly scope: ((req: Req) => string | undefined) | undefined;
  readonly setCookie: 'refuse' | 'strip';
  readonly clock: Clock;
}

/** The option table. */
export const staleCopiesFields: Fields<StaleCopiesSettings<never>> = {
  maxStale: duration({ min: 1 }).or('10m'),
  refresh: duration().or('1s'),
  max: count({ min: 1 }).or(1000),
  maxBytes: byteSize().or('64mb'),
  maxCopyBytes: byteSize().or('1mb'),
  scope: fn<(req: never) => string | undefined>('(req) => string | undefined').optional(),
  setCookie: oneOf('refuse', 'strip').or('refuse'),
  clock: field<Clock>('a clock', (value) => (isClock(value) ? value : undefined)).or(systemClock),
};

/** What is known of a URL. Copies are found by the number of its page: with that changed they are as good as gone. */
interface Page {
  readonly number: number;
  readonly vary: readonly string[];
}

interface Copy extends StaleAnswer {
  /** When it was made, ms. */
  readonly made: number;
  /** When it would have been new, ms. */
  readonly since: number;
  readonly until: number;
  readonly shared: boolean;
}

/** What a copy takes beside its body and fields, about, bytes. */
const OVERHEAD = 512;

/** Of what cannot be given again nothing is held while it is sent. */
const reusable: Wanted = (status, headers) => reuseOf(status, headers) !== undefined;

/** Methods that change nothing: after these, copies are still right. */
const safe: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'QUERY']);

/** Fields of an answer that are not for others, or that Node and the copy itself set. */
const notCopied = ['age', 'content-length', 'set-cookie', 'x-degraded'];

/**
 * Remembers successful answers to GET requests, to be the `fallback` of a guard: when it refuses a request, or its time is up, the copy is given in place of the error, with
 * `x-degraded: stale` and its `Age`. HEAD is answered from the same copies.
 *
 * @throws OptionsError if an option is wrong
 */
export function staleCopies<Req extends NodeShaped | WebShaped = NodeShaped | WebShaped>(
  options: StaleCopiesOptions<Req> = {},
): StaleCopies<Req> {
  return new StaleCopies(readOptions('staleCopies', staleCopiesFields, options) as StaleCopiesSettings<Req>);
}

/** Copies of earlier answers. */
export class StaleCopies<Req extends NodeShaped | WebShaped> {
  readonly #settings: StaleCopiesSettings<Req>;
  readonly #pages: LRUCache<string | bigint, Page>;
  readonly #copies: LRUCache<string | bigint, Copy>;
  #numbers = 0;

  /** @internal */
  constructor(settings: StaleCopiesSettings<Req>) {
    const { max, maxBytes } = settings;
    this.#settings = settings;
    this.#pages = new LRUCache({ max });
    const sizeCalculation = ({ headers, body }: Copy): number => OVERHEAD + sizeOfHeaders(headers) + body.byteLength;
    this.#copies = new LRUCache({ max, maxSize: maxBytes, sizeCalculation });
  }

  /** How many copies are kept; those that are too old count until they make room or are asked for. */
  get size(): number {
    return this.#copies.size;
  }

  /** How much memory they take, about, bytes. */
  get bytes(): number {
    return this.#copies.calculatedSize;
  }

  /** Forgets all copies. */
  clear(): void {
    this.#pages.clear();
    this.#copies.clear();
  }

  /**
   * The request was admitted: what its handler is going to send on this response may be of use later.
   *
   * @param before - fields that others than the handler have set, where the response does not know them yet (Fastify's `reply.getHeaders()`)
   */
  watch(req: Req, response: ServerResponse, before: object = response.getHeaders()): void {
    const head = headOf(req);
    const scope = this.#settings.scope?.(req);
    if (!safe.has(head.method)) response.once('finish', () => this.#changed(head, response.statusCode));
    else if (this.#wants(head, scope)) {
      // A handler that ends when nobody waits any more may have ended half-way.
      const done = (recorded: Recorded | undefined): void => {
        if (!isGone(response) && !isInterrupted(req)) this.#keep(head, scope, recorded);
      };
      record(response, this.#settings.maxCopyBytes, done, before, reusable);
    }
  }

  /** The same where responses are values: answers with the one to go on with. */
  watchWeb(req: Req, response: Response, before: Headers = new Headers()): Response {
    const head = headOf(req);
    const scope = this.#settings.scope?.(req);
    if (!safe.has(head.method)) this.#changed(head, response.status);
    if (!this.#wants(head, scope) || !reusable(response.status, fieldsOf(response.headers))) return response;
    const done = (recorded: Recorded | undefined): void => {
      if (!isInterrupted(req)) this.#keep(head, scope, recorded);
    };
    return recordWeb(response, this.#settings.maxCopyBytes, done, before);
  }

  /** The copy for a request that is not served; `undefined` if there is none that it may get. */
  answer(req: Req): StaleAnswer | undefined {
    const head = headOf(req);
    if (head.method !== 'GET' && head.method !== 'HEAD') return undefined;
    const scope = this.#settings.scope?.(req);
    const now = this.#settings.clock.now();
    const copy = this.#find(head, scope, now);
    if (copy === undefined || (scope === undefined && !copy.shared && credentialsOf(head).length > 0)) return undefined;
    const { status, headers, body, since } = copy;
    const added = { age: String(Math.floor((now - since) / 1000)), 'x-degraded': 'stale' };
    return { status, headers: Object.assign(Object.create(null), headers, added) as StaleAnswer['headers'], body };
  }

  #wants(head: RequestHead, scope: string | undefined): boolean {
    if (head.method !== 'GET' || fieldOf(head, 'range') !== undefined || wantsNoStore(fieldOf(head, 'cache-control'))) return false;
    const { clock, refresh } = this.#settings;
    const now = clock.now();
    const copy = this.#find(head, scope, now);
    return copy === undefined || now - copy.made >= refresh;
  }

  #find(head: RequestHead, scope: string | undefined, now: number): Copy | undefined {
    const page = this.#pages.get(identify(placeOf(head)));
    if (page === undefined) return undefined;
    const key = keyOf(page, head, scope);
    const copy = this.#copies.get(key);
    if (copy === undefined || now < copy.until) return copy;
    this.#copies.delete(key);
    return undefined;
  }

  #keep(head: RequestHead, scope: string | undefined, recorded: Recorded | undefined): void {
    if (recorded?.body === undefined) return;
    const { status, headers, own, body } = recorded;
    const reuse = reuseOf(status, headers);
    if (reuse === undefined || !isWhole(recorded) || 'x-degraded' in headers) return;
    if (scope === undefined && !reuse.shared && credentialsOf(head).length > 0) return;
    if (this.#settings.setCookie === 'refuse' && linesOf(headers, 'set-cookie').length > 0) return;
    const now = this.#settings.clock.now();
    const since = now - reuse.age;
    const until = since + Math.min(reuse.usable, this.#settings.maxStale);
    if (until <= now) return;
    const kept = Object.create(null) as Record<string, string>;
    for (const [name, value] of Object.entries(lasting(own, notCopied))) kept[name] = typeof value === 'string' ? value : value.join(', ');
    kept['content-length'] = String(body.byteLength);
    const key = keyOf(this.#page(placeOf(head), reuse.vary), head, scope);
    this.#copies.set(key, { status, headers: kept, body, made: now, since, until, shared: reuse.shared });
  }

  /** The page of a URL; a new one if the answer depends on other fields now than before. */
  #page(of: string, vary: readonly string[]): Page {
    const place = identify(of);
    const known = this.#pages.get(place);
    if (known !== undefined && String(known.vary) === String(vary)) return known;
    const page = { number: this.#numbers++, vary };
    this.#pages.set(place, page);
    return page;
  }

  /** A request that may have changed what the URL shows was carried out: copies of before are none any more, in every scope (RFC 9111, 4.4). */
  #changed(head: RequestHead, status: number): void {
    if (status < 400) this.#pages.delete(identify(placeOf(head)));
  }
}

/** Where the copy for this request is kept. */
function keyOf({ number, vary }: Page, head: RequestHead, scope: string | undefined): string | bigint {
  return identify(JSON.stringify([number, scope ?? null, ...vary.map((name) => fieldOf(head, name) ?? null)]));
}
