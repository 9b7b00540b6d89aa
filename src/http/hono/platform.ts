/** What a request comes with, by the platform that it came to: Node's own objects, or nothing but the request. */

import type { Connected } from '../identity/identity.ts';
import type { Responding } from '../admission/inbound.ts';
import { NodeResponding, type Outgoing } from './node-responding.ts';
import { WebResponding } from './web-responding.ts';

/** What is used of Hono's context. */
export interface Platform {
  readonly env: unknown;
  readonly req: { readonly raw: Request };
}

interface NodeBindings {
  readonly incoming?: Connected;
  readonly outgoing?: Outgoing;
}

/** Node's objects, if it is Node that serves. What else platforms put there may answer to any name. */
function bindings({ env }: Platform): NodeBindings {
  const { incoming, outgoing } = (env ?? {}) as NodeBindings;
  return typeof outgoing?.writableEnded === 'boolean' && incoming !== undefined ? { incoming, outgoing } : {};
}

const known = new WeakMap<object, WebResponding>();

/** What is to be seen of the response. Where it is a value all guards of a request share it. */
export function respondingOf(context: Platform): Responding {
  const { outgoing } = bindings(context);
  if (outgoing !== undefined) return new NodeResponding(outgoing);
  let responding = known.get(context);
  if (responding === undefined) known.set(context, (responding = new WebResponding(context.req.raw.signal)));
  return responding;
}

/** Whether the response has begun. One that is a value is there in whole or not at all. */
export function hasBegun(context: Platform): boolean {
  return bindings(context).outgoing?.headersSent ?? false;
}

const fields: ProxyHandler<Headers> = {
  get: (headers, name) => (typeof name === 'string' ? (headers.get(name) ?? undefined) : undefined),
};

const callers = new WeakMap<object, { readonly address: unknown; readonly caller: Connected }>();

/**
 * Who asks: the same object for all guards of a request, unless they are told of its address in different ways. `address` is asked when that is needed, and what it
 * throws is the guard's to handle.
 */
export function callerOf<Ctx extends Platform>(context: Ctx, address: ((context: Ctx) => string | undefined) | undefined): Connected {
  const { incoming } = bindings(context);
  if (address === undefined && incoming !== undefined) return incoming;
  const earlier = callers.get(context);
  if (earlier !== undefined && earlier.address === address) return earlier.caller;
  const caller: Connected = {
    socket: {
      get remoteAddress() {
        return address?.(context);
      },
    },
    headers: incoming?.headers ?? (new Proxy(context.req.raw.headers, fields) as unknown as Connected['headers']),
  };
  callers.set(context, { address, caller });
  return caller;
}
