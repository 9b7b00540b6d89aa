/** What a refusal or a timeout is in HTTP: status, fields and body. Pure; every framework's adapter sends the same answer. */

import { OriginDeniedError, RateLimitedError, RejectedError, TimeoutError } from '../../core/errors.ts';
import { isBodiless } from '../recording/describing-fields.ts';

/** An answer, ready to be sent. */
export interface Answer {
  readonly status: number;
  /** Fields by their lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** problem+json (RFC 9457), unless you said otherwise. Always the same for one status: it says nothing about what is inside. */
  readonly body: string | Uint8Array;
}

/** What a request that is not served is answered with, and why. */
export interface Turned extends Answer {
  /** The refusal, or the timeout. */
  readonly error: unknown;
}

/** A lesser answer than the one that was asked for. */
export interface Degraded {
  /** @defaultValue `200` */
  readonly status?: number;
  /** @defaultValue `{}` */
  readonly headers?: Readonly<Record<string, string>>;
  /** @defaultValue `''` */
  readonly body?: string | Uint8Array;
}

/** A month, s, which a quota may last: clients that obey absurd values never come back. */
const LONGEST_RETRY_AFTER = 31 * 86_400;
/** A day, s, for those who can never pass as they are. */
const NEVER = 86_400;

const problemTypes = 'https://iana.org/assignments/http-problem-types';

const problems = {
  403: { type: 'about:blank', title: 'Forbidden' },
  429: { type: `${problemTypes}#quota-exceeded`, title: 'Too many requests' },
  503: { type: `${problemTypes}#temporary-reduced-capacity`, title: 'Service temporarily unavailable' },
  504: { type: 'about:blank', title: 'Gateway Timeout' },
} as const;

/**
 * The answer to a request whose call was turned away or ran out of time: 429 for a rate limit, 403 for an origin that is not let in, 503 for every
 * other refusal, 504 for a timeout.
 * `undefined` for any other error: that is the application's own.
 */
export function answerTo(error: unknown): Answer | undefined {
  if (error instanceof RateLimitedError) return answer(429, retryAfterSeconds(error.retryAfter));
  if (error instanceof OriginDeniedError) return answer(403);
  if (error instanceof RejectedError) return answer(503, retryAfterSeconds(error.retryAfter));
  return error instanceof TimeoutError ? answer(504) : undefined;
}

/** The value of `Retry-After`: whole seconds, rounded up (never earlier than asked), from 1 to 31 days; 1 if nothing is known, and a day for `Infinity`. */
export function retryAfterSeconds(ms: number | undefined): number {
  if (ms === Infinity) return NEVER;
  const seconds = ms === undefined || Number.isNaN(ms) ? 1 : Math.ceil(ms / 1000);
  return Math.min(Math.max(seconds, 1), LONGEST_RETRY_AFTER);
}

/** The same answer with a body that names the policies that were violated (RateLimit draft, 'quota-exceeded'). */
export function naming(given: Answer, policies: readonly string[]): Answer {
  if (given.status !== 429) return given;
  return { ...given, ...written(JSON.stringify({ ...problems[429], status: 429, 'violated-policies': policies }), given.headers) };
}

/** The same answer with a body of the user's: a text, or an object as JSON. */
export function wordedAs(given: Answer, message: string | object): Answer {
  const text = typeof message === 'string';
  const type = text ? 'text/plain; charset=utf-8' : 'application/json; charset=utf-8';
  return { ...given, ...written(text ? message : JSON.stringify(message), { ...given.headers, 'content-type': type }) };
}

/** A lesser answer, ready to be sent. It says that it is one, and is not to be kept by caches: the next one may be whole again. */
export function degradedAnswer({ status = 200, headers = {}, body = '' }: Degraded): Answer {
  const own = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  const fields = { 'cache-control': 'no-store', 'x-degraded': 'fallback', ...own };
  return isBodiless(status) ? { status, headers: fields, body: '' } : { status, ...written(body, fields) };
}

const bodies: Readonly<Record<keyof typeof problems, string>> = {
  403: JSON.stringify({ ...problems[403], status: 403 }),
  429: JSON.stringify({ ...problems[429], status: 429 }),
  503: JSON.stringify({ ...problems[503], status: 503 }),
  504: JSON.stringify({ ...problems[504], status: 504 }),
};

function answer(status: keyof typeof problems, retryAfter?: number): Answer {
  const headers = { 'content-type': 'application/problem+json', 'cache-control': 'no-store' };
  return { status, ...written(bodies[status], retryAfter === undefined ? headers : { ...headers, 'retry-after': String(retryAfter) }) };
}

function written(body: string | Uint8Array, headers: Readonly<Record<string, string>>): Pick<Answer, 'body' | 'headers'> {
  return { body, headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) } };
}
