/** What a request is answered with whose idempotency key says that it must not be carried out. Always the same bodies: they tell nothing of other requests. */

import type { StoredOutcome } from './store.ts';
import { isBodiless } from '../recording/describing-fields.ts';
import type { Reply } from '../recording/reply.ts';

export const missingKey: Reply = problem(400, 'Bad Request', 'This request needs a key of its own in the field Idempotency-Key.');

export const malformedKey: Reply = problem(
  400,
  'Bad Request',
  'The field Idempotency-Key must be one string of 1 to 255 visible ASCII characters, best in quotation marks.',
);

export const stillRunning: Reply = problem(409, 'Conflict', 'A request with this Idempotency-Key is still being carried out.', 1);

export const notKept: Reply = problem(
  409,
  'Conflict',
  'The request with this Idempotency-Key has been carried out, and its answer was too large to be kept.',
);

export const otherRequest: Reply = problem(
  422,
  'Unprocessable Content',
  'This Idempotency-Key was used for another request; a new request needs a new key.',
);

export const storeUnavailable: Reply = problem(
  503,
  'Service Unavailable',
  'Whether this request was carried out before cannot be told at the moment.',
  1,
);

/** The answer that was given the first time. */
export function replayOf({ status, headers, body }: StoredOutcome): Reply {
  if (body === undefined) return notKept;
  const length = isBodiless(status) ? {} : { 'content-length': String(body.byteLength) };
  const fields = Object.assign(Object.create(null), headers, length, { 'idempotency-replayed': 'true' }) as Reply['headers'];
  return { status, headers: fields, body };
}

/** A problem (RFC 9457) without a type of its own, so its title is that of the status. */
function problem(status: number, title: string, detail: string, retryAfter?: number): Reply {
  const body = JSON.stringify({ type: 'about:blank', title, status, detail });
  const headers = {
    'content-type': 'application/problem+json',
    'content-length': String(body.length),
    'cache-control': 'no-store',
  };
  return Object.freeze({ status, headers: retryAfter === undefined ? headers : { ...headers, 'retry-after': String(retryAfter) }, body });
}
