/** What a refusal or a timeout is in HTTP: status, fields and body. Pure; every framework's adapter sends the same answer. */

import { OriginDeniedError, RateLimitedError, RejectedError, TimeoutError } from '../core/errors.ts';

/** An answer, ready to be sent. */
export interface Answer {
  readonly status: 403 | 429 | 503 | 504;
  /** Fields by their lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** problem+json (RFC 9457). Always the same for one status: it says nothing about what is inside. */
  readonly body: string;
}

/** A day, s: nobody waits longer, and clients that obey absurd values never come back. */
const LONGEST_RETRY_AFTER = 86_400;

const problemTypes = 'https://iana.org/assignments/http-problem-types';

const bodies: Readonly<Record<Answer['status'], string>> = {
  403: problem(403, 'about:blank', 'Forbidden'),
  429: problem(429, `${problemTypes}#quota-exceeded`, 'Too many requests'),
  503: problem(503, `${problemTypes}#temporary-reduced-capacity`, 'Service temporarily unavailable'),
  504: problem(504, 'about:blank', 'Gateway Timeout'),
};

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

/** The value of `Retry-After`: whole seconds, rounded up (never earlier than asked), from 1 to a day; 1 if nothing is known. */
export function retryAfterSeconds(ms: number | undefined): number {
  const seconds = ms === undefined || Number.isNaN(ms) ? 1 : Math.ceil(ms / 1000);
  return Math.min(Math.max(seconds, 1), LONGEST_RETRY_AFTER);
}

function answer(status: Answer['status'], retryAfter?: number): Answer {
  const body = bodies[status];
  return {
    status,
    headers: {
      'content-type': 'application/problem+json',
      'content-length': String(body.length),
      'cache-control': 'no-store',
      ...(retryAfter !== undefined && { 'retry-after': String(retryAfter) }),
    },
    body,
  };
}

function problem(status: number, type: string, title: string): string {
  return JSON.stringify({ type, title, status });
}
