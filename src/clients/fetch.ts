/**
 * `fetch` behind policies: same parameters, same results, and between them retries, circuits, slots and time limits.
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http';
 * import { once } from 'node:events';
 * import { wrapFetch } from 'breakwater/fetch';
 *
 * let asked = 0;
 * const server = createServer((_, res) => res.writeHead(++asked === 1 ? 503 : 200).end('hello')).listen(0);
 * await once(server, 'listening');
 * const { port } = server.address() as { port: number };
 *
 * const fetch = wrapFetch(); // presets.http(), a circuit for each origin
 * const response = await fetch(`http://localhost:${port}/`, { breakwater: { deadline: '2s' } });
 * console.log(response.status, await response.text(), asked); // => 200 'hello' 2
 * server.close();
 * server.closeAllConnections();
 * ```
 *
 * @module
 */

import { Alarm } from '../core/alarm.ts';
import type { Call } from '../core/call.ts';
import { type Duration, type Fields, count, duration, fn, group, parseDuration, readOptions } from '../core/options.ts';
import { Failure } from '../core/outcome.ts';
import type { Pipeline } from '../core/pipeline.ts';
import { follow } from '../core/run.ts';
import { answer } from './fetch/answer.ts';
import { GivenRequest, type GuardedRequestInit, urlOf } from './fetch/request.ts';
import { type Guarding, Outbound } from './outbound.ts';
import { type OutboundOptions, type OutboundSettings, outboundFields } from './outbound-options.ts';
import { phaseOver } from './phase-timeout.ts';

export type { GuardedRequestInit } from './fetch/request.ts';
export type { Guarding } from './outbound.ts';
export type { OutboundOptions, OutboundRequest, RequestOptions } from './outbound-options.ts';
export { type Phase, PhaseTimeoutError } from './phase-timeout.ts';

/** How long the phases of an exchange may take. */
export interface FetchPhases {
  /** Until the answer's head is there, for each attempt; connecting and sending are part of it. @defaultValue `'30s'` */
  readonly headers?: Duration;
  /**
   * Between two chunks of the answer's body, while somebody waits for one. A body that nobody reads for as long gives back what policies hold for it, and can still be read.
   *
   * @defaultValue `'30s'`
   */
  readonly bodyIdle?: Duration;
  /** All of it, every attempt and the body of the answer: the call's deadline, unless that is shorter. @defaultValue `Infinity` */
  readonly total?: Duration;
}

/** Options of {@link wrapFetch}. */
export interface FetchOptions extends OutboundOptions {
  /** What sends requests: another `fetch`, such as undici's. @defaultValue the global one, as it stands when a request is made */
  readonly fetch?: (input: string | URL | Request, init?: RequestInit) => Promise<Response>;
  /** How much of a body that is a stream is kept so that it can be sent again, in bytes. A request with a longer one is not repeated once it has been sent. @defaultValue `65536` */
  readonly maxReplayBytes?: number;
  /** How long the phases of an exchange may take. @defaultValue each has its own */
  readonly phases?: FetchPhases;
}

/** `fetch`, guarded. */
export interface GuardedFetch {
  (input: string | URL | Request, init?: GuardedRequestInit): Promise<Response>;
  /** What it is guarded by: for its events, `snapshot()` and `close()`. */
  readonly pipeline: Pipeline;
}

interface FetchSettings extends OutboundSettings {
  readonly fetch: ((input: string | URL | Request, init?: RequestInit) => Promise<Response>) | undefined;
  readonly maxReplayBytes: number;
  readonly phases: { readonly headers: number; readonly bodyIdle: number; readonly total: number };
}

/** The table of its options. */
export const fetchFields: Fields<FetchSettings> = {
  ...outboundFields,
  fetch: fn<NonNullable<FetchSettings['fetch']>>('(input, init) => Promise<Response>').optional(),
  maxReplayBytes: count().or(65_536),
  phases: group<FetchSettings['phases']>({
    headers: duration({ min: 1, infinite: true }).or('30s'),
    bodyIdle: duration({ min: 1, infinite: true }).or('30s'),
    total: duration({ min: 1, infinite: true }).or(Infinity),
  }).or({}),
};

/**
 * A `fetch` whose requests go through policies, or through a pipeline of your own.
 *
 * It answers and rejects as `fetch` does: a 503 is a response, also after the last attempt. Refusals reject with a {@link RejectedError}, time that has run out with a
 * {@link TimeoutError}, an abort with the caller's own reason. What policies hold for a request they hold until the body of its answer has been read or cancelled, and that is when they
 * are told how it ended.
 *
 * @param policies - outermost first; `presets.http()` if there are none
 * @throws OptionsError if an option or a policy is wrong
 *
 * @example
 * ```ts
 * import { presets } from 'breakwater';
 * import { wrapFetch } from 'breakwater/fetch';
 *
 * const fetch = wrapFetch(presets.http({ timeout: { after: '5s' } }), { name: 'billing', fetch: async () => Response.json({ due: 7 }) });
 * const invoice = await fetch('https://billing.example/invoices/1');
 * console.log(await invoice.json()); // => { due: 7 }
 * ```
 */
export function wrapFetch(policies?: Guarding, options?: FetchOptions): GuardedFetch {
  const settings = readOptions('wrapFetch', fetchFields, options);
  const outbound = new Outbound('fetch', policies, settings);
  // fetch takes null for nothing.
  const guarded = async (input: string | URL | Request, init?: GuardedRequestInit | null): Promise<Response> =>
    await exchange(outbound, settings, input, init ?? {});
  return Object.assign(guarded, { pipeline: outbound.pipeline });
}

async function exchange(
  outbound: Outbound,
  settings: FetchSettings,
  input: string | URL | Request,
  init: GuardedRequestInit,
): Promise<Response> {
  const url = urlOf(input);
  // fetch says what is wrong with it.
  if (url === undefined) return await (settings.fetch ?? globalThis.fetch)(input, init);
  const request = new GivenRequest(input, url, init);
  const asked = outbound.callOptions(request, request.own, request.signal);
  const whole = { ...asked, deadline: within(asked.deadline, settings.phases.total) };
  const body = outbound.repeats ? request.holdBody(settings.maxReplayBytes) : undefined;
  try {
    const call = body === undefined ? whole : await outbound.reading(body, whole);
    return (await outbound.pipeline.execute((each) => attempt(outbound, settings, request, each), call)) as Response;
  } catch (error) {
    request.dropBody(error);
    throw error;
  }
}

/** The shorter of the two; what is no duration is left for the kernel to refuse. */
function within(deadline: Duration | undefined, total: number): Duration | undefined {
  if (total === Infinity) return deadline;
  const own = deadline === undefined ? Infinity : parseDuration(deadline);
  return own === undefined ? deadline : Math.min(own, total);
}

/** Sends the request once. What it runs as ends with the body of the answer, or when there is none. */
async function attempt(outbound: Outbound, settings: FetchSettings, request: GivenRequest, call: Call): Promise<Response> {
  const { headers: limit, bodyIdle } = settings.phases;
  const { clock } = call.scope;
  const sent = call.derive();
  const alarm = new Alarm(clock, (_, stalled) => sent.cut(phaseOver(sent, 'headers', limit, stalled)));
  const now = clock.now();
  alarm.set(now + limit, now);
  const send = settings.fetch ?? globalThis.fetch;
  let response: Response | Failure;
  try {
    const work = ({ signal }: Call): Promise<Response> => send(...request.attempt(outbound.fieldsFor(call, request, request.own), signal));
    response = (await follow(sent, work)) as Response | Failure;
  } catch (error) {
    call.release(sent);
    throw error;
  } finally {
    alarm.clear();
    sent.waiter = undefined;
  }
  if (!(response instanceof Failure)) return answer(response, sent, bodyIdle, request.signal);
  call.release(sent);
  throw response.error;
}
