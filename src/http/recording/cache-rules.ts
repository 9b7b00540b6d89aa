/** What RFC 9111 and RFC 5861 say of keeping an answer and of giving it again when there is no new one. Pure. */

import { readCacheControl, secondsOf } from '../../fields/cache-control.ts';
import { linesOf } from './recorded.ts';
import type { ReplyHeaders } from './reply.ts';

/** How an answer may be used again. */
export interface Reuse {
  /** Up to which age, ms; `Infinity` if it sets no bound. */
  readonly usable: number;
  /** How old it was when it came, ms. */
  readonly age: number;
  /** Whether it says itself that it is for everybody, though the request told who asks. */
  readonly shared: boolean;
  /** Fields of the request that it depends on, lower-case and in order. */
  readonly vary: readonly string[];
}

/** Statuses of whole answers that have succeeded. */
const successes: ReadonlySet<number> = new Set([200, 203]);

const eventStream = /^\s*text\/event-stream\s*(?:;|$)/i;

/** Any one of these forbids to keep an answer, or to use it without asking. */
const forbidding = ['no-store', 'private', 'no-cache'];

/**
 * Whether and how an answer to a GET may be given again later; `undefined` if not at all. `no-store`, `private`, `no-cache` and `Vary: *` forbid it;
 * `must-revalidate`, `proxy-revalidate` and `s-maxage` forbid it once the answer is no longer fresh, and `stale-if-error` says how much longer. A stream of events is no
 * answer that could be given again.
 */
export function reuseOf(status: number, headers: ReplyHeaders): Reuse | undefined {
  if (!successes.has(status) || eventStream.test(linesOf(headers, 'content-type')[0] ?? '')) return undefined;
  const directives = readCacheControl(linesOf(headers, 'cache-control').join(','));
  if (directives === undefined || forbidding.some((name) => directives.has(name))) return undefined;
  const vary = varied(headers);
  if (vary === undefined) return undefined;
  const fresh = (secondsOf(directives, 's-maxage') ?? secondsOf(directives, 'max-age') ?? 0) * 1000;
  const error = secondsOf(directives, 'stale-if-error');
  const strict = directives.has('must-revalidate') || directives.has('proxy-revalidate');
  const usable = strict ? fresh : error !== undefined ? fresh + error * 1000 : directives.has('s-maxage') ? fresh : Infinity;
  const given = linesOf(headers, 'age')[0] ?? '';
  const age = /^\d{1,10}$/.test(given) ? Number(given) * 1000 : 0;
  if (usable <= age) return undefined;
  return { usable, age, shared: directives.has('public') || directives.has('s-maxage'), vary };
}

/** Whether a request wants nothing to be kept of it. */
export function wantsNoStore(field: string | undefined): boolean {
  return field !== undefined && readCacheControl(field)?.has('no-store') !== false;
}

/** The names in `Vary`; `undefined` if it depends on what no field tells. */
function varied(headers: ReplyHeaders): readonly string[] | undefined {
  const names = linesOf(headers, 'vary')
    .flatMap((line) => line.toLowerCase().split(','))
    .map((name) => name.trim())
    .filter((name) => name !== '');
  return names.includes('*') ? undefined : [...new Set(names)].sort();
}
