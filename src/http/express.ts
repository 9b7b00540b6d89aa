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

export { type Guard, guard, type GuardRequest, type MiddlewareOptions, type MiddlewareOptions as GuardOptions } from './guard.ts';
export { clientKey, type ClientKeyOptions } from './client-key.ts';
export type { Connected } from './identity.ts';
export { ClientGoneError, ErrorResponse, type Visit } from './inbound.ts';
export type { Handler, Next } from './passing.ts';
export type { Answer, Degraded, Turned } from './response.ts';
