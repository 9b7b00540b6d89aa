import type { ServerResponse } from 'node:http';
import { Idempotency } from '../idempotency/idempotency.ts';
import type { IdempotencyOptions } from '../idempotency/options.ts';
import { type NodeShaped, headOf } from '../recording/request-head.ts';
import { type KoaResponse, give } from './settled-answer.ts';

/** What is used of Koa's context. */
interface Context extends NodeShaped {
  readonly method: string;
  readonly res: ServerResponse;
  readonly response: KoaResponse;
}

/** Middleware that carries requests out once, however often their clients send them. */
export function idempotent<Ctx extends Context>(
  options: IdempotencyOptions<Ctx>,
): (ctx: Ctx, next: () => Promise<unknown>) => Promise<void> {
  const core = new Idempotency<Ctx>(options);
  return async (ctx, next) => {
    const { res } = ctx;
    const decision = core.concerns(ctx.method) ? await core.decide(ctx, headOf(ctx)) : undefined;
    if (decision?.kind === 'answer') {
      if (!res.headersSent) give(ctx.response, decision.reply);
      return;
    }
    if (decision?.kind === 'run') {
      // Nothing was done yet, and nobody waits for it any more.
      if (res.destroyed || res.writableEnded) {
        decision.attempt.abandon();
        return;
      }
      decision.attempt.watch(res);
    }
    await next();
  };
}
