/**
 * In front of servers of `node:http` and `node:http2` as they are: admits requests through gates, answers probes, and shuts down without losing a request.
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http';
 * import { bulkhead } from 'breakwater';
 * import { lifecycle, protect, readiness } from 'breakwater/node';
 *
 * const api = protect((req, res) => res.end('hello'), [bulkhead({ maxConcurrent: 200 })], { name: 'api', deadline: '2s' });
 * const life = lifecycle({ pipelines: [api.pipeline], delay: 0 });
 * const ready = readiness({ lifecycle: life });
 * const server = life.attach(createServer((req, res) => (req.url === '/ready' ? ready(req, res) : api(req, res))));
 * server.listen(0);
 * console.log(await life.drain().then(({ cut }) => cut)); // => 0
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
export { type Listener, protect, type Protected, type ProtectOptions, type UpgradeListener } from './middleware/protection.ts';
export { type Drained, type Lifecycle, lifecycle, type LifecycleState, type SignalOptions } from './lifecycle/lifecycle.ts';
export type { LifecycleOptions } from './lifecycle/options.ts';
export type { ClosableServer } from './lifecycle/closing-server.ts';
export { type HealthBody, type HealthReport, liveness, type Probe, readiness, type ReadinessOptions } from './health/health.ts';
export type { HealthDetail } from './health/detail.ts';
export type { Check } from './health/check.ts';
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
