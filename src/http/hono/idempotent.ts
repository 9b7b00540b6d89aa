import { Idempotency } from '../idempotency/idempotency.ts';
import type { IdempotencyOptions } from '../idempotency/options.ts';
import { webReply } from '../recording/reply.ts';
import { headOf } from '../recording/request-head.ts';
import { type Answerable, put } from './kept-answer.ts';
import { type Platform, respondingOf } from './platform.ts';

/** Middleware that carries requests out once, however often their clients send them. */
export function idempotent<C extends Answerable & Platform>(
  options: IdempotencyOptions<C>,
): (c: C, next: () => Promise<unknown>) => Promise<Response | undefined> {
  const core = new Idempotency<C>(options);
  return async (c, next) => {
    if (!core.concerns(c.req.raw.method)) {
      await next();
      return undefined;
    }
    const decision = await core.decide(c, headOf(c));
    const before = new Headers(c.newResponse(null, 200).headers);
    if (decision.kind === 'answer') return answered(c, webReply(decision.reply), before);
    if (decision.kind === 'pass') {
      await next();
      return undefined;
    }
    const { attempt } = decision;
    const responding = respondingOf(c);
    // Nothing was done yet, and nobody waits for it any more.
    if (responding.destroyed) {
      attempt.abandon();
      return answered(c, new Response(null, { status: 499 }), before);
    }
    responding.once('close', () => attempt.left());
    try {
      await next();
    } catch (error) {
      attempt.abandon();
      throw error;
    }
    if (c.finalized) put(c, attempt.watchWeb(c.res, before));
    else attempt.abandon();
    return undefined;
  };
}

/** The answer, with fields that earlier middleware has set. */
function answered(c: Answerable, reply: Response, before: Headers): Response {
  for (const [name, value] of before) {
    if (name === 'set-cookie') reply.headers.append(name, value);
    else if (!reply.headers.has(name)) reply.headers.set(name, value);
  }
  put(c, reply);
  return reply;
}
