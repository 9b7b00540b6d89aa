/**
 * In front of Express routes (or Connect's, or bare Node's): admits requests through gates, and answers for those that are turned away or
 * take too long.
 *
 * @example
 * ```ts
 * import express from 'express';
 * import { bulkhead } from 'breakwater';
 * import { guard } from 'breakwater/express';
 *
 * const app = express();
 * const api = guard([bulkhead({ maxConcurrent: 200, maxQueue: 50 })], { name: 'api', deadline: '2s' });
 * app.use('/api', api);
 * app.get('/api/items', (req, res) => {
 *   res.json({ left: req.breakwater.remaining() });
 * });
 * console.log(api.pipeline.snapshot().active); // => 0
 * ```
 *
 * @module
 */

export {
  type Guard,
  guard,
  type GuardRequest,
  type MiddlewareOptions,
  type MiddlewareOptions as GuardOptions,
} from './middleware/guard.ts';
export { clientKey, type ClientKeyOptions } from './identity/client-key.ts';
export { ipKey } from './identity/client-address.ts';
export type { Connected } from './identity/identity.ts';
export { ClientGoneError, ErrorResponse, type Visit } from './admission/inbound.ts';
export type { Handler, Next } from './middleware/passing.ts';
export { type Answer, answerTo, type Degraded, type Turned } from './admission/response.ts';
export { idempotency, type IdempotencyMiddleware, type IdempotentRequest } from './idempotency/middleware.ts';
export type { IdempotencyOptions } from './idempotency/options.ts';
export {
  type Begun,
  type IdempotencyStore,
  MemoryIdempotencyStore,
  memoryIdempotencyStore,
  type MemoryIdempotencyStoreOptions,
  type StoredOutcome,
} from './idempotency/store.ts';
export { type StaleAnswer, StaleCopies, staleCopies, type StaleCopiesOptions } from './recording/stale-copies.ts';
export type { ByteSize } from './recording/byte-size.ts';
export type { Fallback, FieldsDraft, Soon } from './admission/guard-options.ts';
export type { GuardWarning, WarningCode, Warnings } from './warnings/warnings.ts';
