/** Whether anybody still waited for an answer when its handler came to the end of it. One that stopped early may have ended it half-way. */

import type { Responding, Visit } from '../admission/inbound.ts';

/** Where guards leave their visits, on requests as frameworks show them. */
interface Visiting {
  readonly breakwater?: Visit;
}

/** Fastify's request, Koa's context and Hono's have the request within. */
interface Framed {
  readonly raw?: Visiting;
  readonly req?: Visiting & { readonly raw?: Request };
  readonly get?: (name: 'breakwater') => Visit | undefined;
}

/** Whether nobody waits for the answer any more: the client has left, or time is up. Makes no signal for that. */
export function isInterrupted(request: object): boolean {
  return visitOf(request)?.remaining() === 0;
}

/** Why a guard has told the handler to stop, if it has. */
export function interruptionOf(request: object): { readonly reason: unknown } | undefined {
  const visit = visitOf(request);
  return visit?.remaining() === 0 && visit.signal.aborted ? { reason: visit.signal.reason } : undefined;
}

/** Whether the connection was gone before the response was complete. */
export function isGone(response: Pick<Responding, 'destroyed' | 'stream' | 'socket' | 'req'>): boolean {
  // HTTP/2 says so of the stream; a response that waits for its turn on a connection says nothing of itself.
  const waiting = response.socket === null && response.req?.socket?.destroyed === true;
  return response.destroyed || response.stream?.destroyed === true || waiting;
}

/** The innermost visit of a request. */
function visitOf(request: object): Visit | undefined {
  const framed = request as Framed;
  if (framed.req?.raw !== undefined) return framed.get?.('breakwater');
  const { breakwater }: Visiting = framed.req ?? framed.raw ?? request;
  return breakwater;
}
