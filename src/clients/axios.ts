/**
 * Behind axios: an adapter that sends each request through policies, below the interceptors, which run once.
 *
 * @example
 * ```ts
 * import axios from 'axios';
 * import { presets } from 'breakwater';
 * import { adapter } from 'breakwater/axios';
 *
 * let busy = 1;
 * const service = async (config: import('axios').InternalAxiosRequestConfig) => {
 *   if (busy-- > 0) throw Object.assign(new Error('connect'), { code: 'ECONNREFUSED' });
 *   return { data: 'seven', status: 200, statusText: 'OK', headers: {}, config };
 * };
 * const client = axios.create({ adapter: adapter(presets.http({ retry: { backoff: { delay: 1 } } }), { adapter: service }) });
 * const { data } = await client.get<string>('https://stock.example/pieces', { breakwater: { deadline: '2s' } });
 * console.log(data); // => 'seven'
 * ```
 *
 * @module
 */

import axios, { type AxiosAdapter, AxiosHeaders, type AxiosResponse, CanceledError, type InternalAxiosRequestConfig } from 'axios';
import type { Call } from '../core/call.ts';
import { type Fields, count, field, readOptions } from '../core/options.ts';
import type { Pipeline } from '../core/pipeline.ts';
import { AnswerStreams } from './axios/answer-streams.ts';
import { callerSignal } from './axios/caller-signal.ts';
import { SentBody } from './axios/sent-body.ts';
import { type Guarding, Outbound } from './outbound.ts';
import {
  type OutboundOptions,
  type OutboundRequest,
  type OutboundSettings,
  type RequestOptions,
  outboundFields,
} from './outbound-options.ts';

export type { Guarding } from './outbound.ts';
export type { OutboundOptions, OutboundRequest, RequestOptions } from './outbound-options.ts';

declare module 'axios' {
  interface AxiosRequestConfig {
    /** What this request says about itself, to policies. */
    breakwater?: RequestOptions | undefined;
  }
}

/** What axios takes as its `adapter`: a function, the name of one of its own, or several names. */
export type BaseAdapter = AxiosAdapter | string | readonly string[];

/** Options of {@link adapter}. */
export interface AdapterOptions extends OutboundOptions {
  /** What events, errors and snapshots call it; a pipeline that is given has a name of its own. @defaultValue `'axios'` */
  readonly name?: string;
  /** What sends each attempt. @defaultValue axios's default adapter */
  readonly adapter?: BaseAdapter;
  /** How much of a body that is a stream is kept so that it can be sent again, in bytes. A request with a longer one is not repeated once it has been sent. @defaultValue `65536` */
  readonly maxReplayBytes?: number;
}

/** Options as read. */
export interface AdapterSettings extends OutboundSettings {
  readonly adapter: BaseAdapter | undefined;
  readonly maxReplayBytes: number;
}

/** The option table. */
export const adapterFields: Fields<AdapterSettings> = {
  ...outboundFields,
  adapter: field<BaseAdapter>('a function (config) => Promise<response>, the name of an adapter, or an array of such names', (given) =>
    typeof given === 'function' || typeof given === 'string' || Array.isArray(given) ? (given as BaseAdapter) : undefined,
  ).optional(),
  maxReplayBytes: count().or(65_536),
};

/** An adapter, with the pipeline that its requests go through. */
export interface GuardedAdapter extends AxiosAdapter {
  readonly pipeline: Pipeline;
}

/**
 * Makes an adapter for axios: `axios.create({ adapter: adapter([...]) })`. Give no policies for those of `presets.http()`.
 *
 * Interceptors, `transformRequest` and `transformResponse` run once, whatever the number of attempts. What `validateStatus` does not take rejects with an `AxiosError` as ever, and the policies judge by its response; refusals and
 * time-outs reject as they are; a caller's abort with a `CanceledError`. axios's `timeout` bounds each attempt. With `responseType: 'stream'` policies are told how a request ended at the end of the stream.
 *
 * @throws OptionsError if an option is wrong
 */
export function adapter(policies?: Guarding, options?: AdapterOptions): GuardedAdapter {
  const settings = readOptions('adapter', adapterFields, options);
  const outbound = new Outbound('axios', policies, settings);
  const base = axios.getAdapter((settings.adapter ?? axios.defaults.adapter) as AxiosAdapter);
  const send = (config: InternalAxiosRequestConfig): Promise<AxiosResponse> => exchange(outbound, base, settings.maxReplayBytes, config);
  return Object.assign(send, { pipeline: outbound.pipeline });
}

async function exchange(
  outbound: Outbound,
  base: AxiosAdapter,
  maxReplayBytes: number,
  config: InternalAxiosRequestConfig,
): Promise<AxiosResponse> {
  const caller = callerSignal(config);
  const request = described(config);
  const streams = new AnswerStreams();
  const body = outbound.repeats ? SentBody.of(config.data, maxReplayBytes) : undefined;
  try {
    const asked = outbound.callOptions(request, config.breakwater, caller.signal);
    const call = body === undefined ? asked : await outbound.reading(body.body, asked);
    const answer = (await outbound.pipeline.execute((each) => attempt(each), call)) as AxiosResponse;
    streams.keep(answer);
    return answer;
  } catch (error) {
    body?.body.drop(error);
    streams.keep((error as { readonly response?: unknown } | null)?.response);
    throw caller.signal?.aborted === true ? new CanceledError(undefined, config) : error;
  } finally {
    caller.release();
  }

  async function attempt(call: Call): Promise<AxiosResponse> {
    streams.drop();
    const headers = new AxiosHeaders(config.headers).set({ ...outbound.fieldsFor(call, request, config.breakwater) });
    const data: unknown = body === undefined ? config.data : body.open();
    try {
      // The caller's signal and token stand behind the call's own.
      const answer = await base({ ...withoutToken(config), headers, data, signal: call.signal });
      answer.config = config;
      streams.follow(call, answer);
      return answer;
    } catch (error) {
      // What axios makes of our own signal says nothing of why it aborted.
      if (call.failure !== undefined) throw call.failure.error;
      const failed = error as { config?: InternalAxiosRequestConfig; readonly response?: AxiosResponse };
      if (failed.config !== undefined) failed.config = config;
      if (failed.response !== undefined) streams.hold(failed.response);
      throw error;
    }
  }
}

/** A request as axios has it, as functions of options see it. */
function described(config: InternalAxiosRequestConfig): OutboundRequest {
  let url: URL | undefined;
  return {
    method: (config.method ?? 'GET').toUpperCase(),
    get url() {
      return (url ??= new URL(addressOf(config), 'http://localhost'));
    },
    field: (name) => (AxiosHeaders.from(config.headers).get(name) as { toString(): string } | null | undefined)?.toString(),
  };
}

/** The full address. Axios's own way to put it together takes a while, and is gone only where there are parameters. */
function addressOf(config: InternalAxiosRequestConfig): string {
  const { url = '', baseURL = '', allowAbsoluteUrls } = config;
  if (config.params !== undefined) return axios.getUri(config);
  if (baseURL === '' || (allowAbsoluteUrls !== false && /^([a-z][a-z\d+.-]*:)?\/\//i.test(url))) return url;
  return url === '' ? baseURL : `${baseURL.replace(/\/+$/, '')}/${url.replace(/^\/+/, '')}`;
}

function withoutToken(config: InternalAxiosRequestConfig): InternalAxiosRequestConfig {
  const own = { ...config };
  delete own.cancelToken;
  return own;
}
