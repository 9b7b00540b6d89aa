import type { IncomingMessage, ServerResponse } from 'node:http';
import { Idempotency } from './idempotency.ts';
import type { IdempotencyOptions } from './options.ts';
import { sendReply } from '../recording/reply.ts';
import { headOf } from '../recording/request-head.ts';

/** What is used of a request where its type is not given: Node's, and what body parsers add. */
export interface IdempotentRequest extends IncomingMessage {
  readonly originalUrl?: string | undefined;
  readonly body?: unknown;
}

/** Middleware of the shape of Express's, Connect's, and of what stands on bare Node. */
export type IdempotencyMiddleware<Req extends IncomingMessage> = (req: Req, res: ServerResponse, next: (error?: unknown) => void) => void;

/**
 * Carries requests out once, however often their clients send them: `app.post('/orders', idempotency(), handler)`. The answer to the first request with an `Idempotency-Key` is kept,
 * and who repeats it gets the same answer, with `idempotency-replayed: true`; 409 while the first is on its way, 422 if it is not the same request, 400 for a key that is none.
 *
 * Put it behind what says who the user is, in front of what does the work. Draft: draft-ietf-httpapi-idempotency-key-header-07.
 *
 * @throws OptionsError if an option is wrong
 *
 * @example
 * ```ts
 * import { once } from 'node:events';
 * import { createServer } from 'node:http';
 * import { idempotency } from 'breakwater/node';
 *
 * const payments = idempotency({ required: true });
 * let charged = 0;
 * const server = createServer((req, res) => payments(req, res, () => res.end(`charged ${++charged} times`)));
 * await once(server.listen(0), 'listening');
 * const pay = (): Promise<Response> =>
 *   fetch(`http://localhost:${(server.address() as { port: number }).port}`, { method: 'POST', headers: { 'idempotency-key': '"7e2f"' } });
 * await pay();
 * const again = await pay();
 * console.log(await again.text(), again.headers.get('idempotency-replayed')); // => 'charged 1 times' 'true'
 * server.close();
 * ```
 */
export function idempotency<Req extends IncomingMessage = IdempotentRequest>(
  options: IdempotencyOptions<Req> = {},
): IdempotencyMiddleware<Req> {
  const core = new Idempotency<Req>(options);
  return (req, res, next) => {
    if (!core.concerns(req.method ?? 'GET')) {
      next();
      return;
    }
    void core.decide(req, headOf(req)).then((decision) => {
      if (decision.kind === 'answer') {
        if (!res.headersSent) sendReply(req, res, decision.reply);
        return;
      }
      if (decision.kind === 'run') {
        // Nothing was done yet, and nobody waits for it any more.
        if (res.destroyed || res.writableEnded) {
          decision.attempt.abandon();
          return;
        }
        decision.attempt.watch(res);
      }
      next();
    }, next);
  };
}
