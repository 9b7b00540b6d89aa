import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Decision, Idempotency } from '../idempotency/idempotency.ts';
import type { IdempotencyOptions } from '../idempotency/options.ts';
import { sendReply } from '../recording/reply.ts';
import { headOf } from '../recording/request-head.ts';
import type { Done } from './passage.ts';

/** What is used of a request. */
interface Sent {
  readonly raw: IncomingMessage;
  readonly method: string;
}

/** What is used of a reply. */
interface Answerable {
  readonly raw: ServerResponse;
  readonly sent: boolean;
  getHeaders(): Readonly<Record<string, unknown>>;
  hijack(): unknown;
}

/** A hook for routes that carries their requests out once. What it sends again has been through the hooks of the first reply and goes past those of this one. */
export function idempotencyHook<Req extends Sent>(
  options: IdempotencyOptions<Req> = {},
): (request: Req, reply: Answerable, done: Done) => void {
  const core = new Idempotency<Req>(options);
  return (request, reply, done) => {
    if (!core.concerns(request.method)) {
      done();
      return;
    }
    const { raw } = reply;
    const go = (decision: Decision): void => {
      if (decision.kind === 'answer') {
        if (reply.sent || raw.headersSent) return;
        reply.hijack();
        for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) raw.setHeader(name, value as string);
        sendReply(request.raw, raw, decision.reply);
        return;
      }
      if (decision.kind === 'run') {
        // Nothing was done yet, and nobody waits for it any more.
        if (raw.destroyed || reply.sent) {
          decision.attempt.abandon();
          return;
        }
        decision.attempt.watch(raw);
      }
      done();
    };
    void core.decide(request, headOf(request.raw)).then(go, done);
  };
}
