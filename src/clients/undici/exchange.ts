/** A request from its dispatch to the end of its answer: a call through the pipeline, whose attempts are dispatched anew. */

import { STATUS_CODES } from 'node:http';
import type { Call } from '../../core/call.ts';
import { OptionsError } from '../../core/errors.ts';
import { show } from '../../core/options.ts';
import { RequestBody, streamed } from '../request-body.ts';
import type { Outbound } from '../outbound.ts';
import { Answer, Attempt, type Attempted } from './attempt.ts';
import { DispatchedRequest } from './dispatched-request.ts';
import type { AnswerFields, Dispatch, DispatchHandler, DispatchOptions } from './dispatching.ts';
import { Line } from './line.ts';

/** What a fallback may answer with in place of a service. */
export interface StandIn {
  readonly statusCode: number;
  readonly headers?: Readonly<Record<string, string | string[]>>;
  readonly body?: string | Uint8Array;
}

/** What exchanges of one interceptor have in common. */
export interface ExchangeSettings {
  readonly maxReplayBytes: number;
  readonly bodyIdle: number;
}

/** One request. Its handler hears of one answer, or of one error. */
export class Exchange implements Attempted {
  readonly line: Line = new Line();
  readonly handler: DispatchHandler;
  readonly idle: number;
  readonly #outbound: Outbound;
  readonly #dispatch: Dispatch;
  readonly #options: DispatchOptions;
  readonly #request: DispatchedRequest;
  readonly #maxReplayBytes: number;
  readonly #context: object = {};
  #body: RequestBody | undefined = undefined;

  constructor(outbound: Outbound, settings: ExchangeSettings, dispatch: Dispatch, options: DispatchOptions, handler: DispatchHandler) {
    this.handler = handler;
    this.idle = settings.bodyIdle;
    this.#outbound = outbound;
    this.#dispatch = dispatch;
    this.#options = options;
    this.#request = new DispatchedRequest(options);
    this.#maxReplayBytes = settings.maxReplayBytes;
  }

  start(): void {
    const { line } = this;
    try {
      this.handler.onRequestStart?.(line, this.#context);
      const asked = this.#outbound.callOptions(this.#request, this.#options.breakwater, line.signal);
      const body = this.#outbound.repeats ? streamed(this.#options.body) : undefined;
      const { pipeline } = this.#outbound;
      if (body === undefined) pipeline.execute(this.#send, asked).then(this.#answered, this.#failed);
      else {
        this.#body = new RequestBody(body, this.#maxReplayBytes);
        const read = this.#outbound.reading(this.#body, asked);
        read.then((call) => pipeline.execute(this.#send, call)).then(this.#answered, this.#failed);
      }
    } catch (error) {
      this.#failed(error);
    }
  }

  inform(context: object | undefined): void {
    Object.assign(this.#context, context);
  }

  readonly #send = (call: Call): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const attempt = new Attempt(this, call, resolve, reject);
      try {
        const { breakwater } = this.#options;
        const headers = this.#request.with(this.#outbound.fieldsFor(call, this.#request, breakwater));
        const body = this.#body === undefined ? this.#options.body : this.#body.open();
        this.#dispatch({ ...this.#options, headers, body }, attempt);
      } catch (error) {
        attempt.fail(error);
      }
    });

  readonly #answered = (value: unknown): void => {
    if (value instanceof Answer && value.attempt.exchange === this) value.attempt.handOn();
    else if (isStandIn(value)) this.#standIn(value);
    else {
      const { name } = this.#outbound.pipeline;
      const expected = 'an answer: { statusCode, headers?, body? }';
      this.#failed(new OptionsError([{ path: `${name}.fallback`, expected, got: show(value) }]));
    }
  };

  readonly #failed = (error: unknown): void => {
    this.#body?.drop(error);
    this.handler.onResponseError?.(this.line, error as Error);
  };

  #standIn({ statusCode, headers = {}, body = '' }: StandIn): void {
    const { handler, line } = this;
    const fields: AnswerFields = {};
    for (const [name, value] of Object.entries(headers)) fields[name.toLowerCase()] = value;
    this.#body?.drop(undefined);
    try {
      handler.onResponseStart?.(line, statusCode, fields, STATUS_CODES[statusCode] ?? '');
      if (body.length > 0) handler.onResponseData?.(line, Buffer.from(body as string));
      handler.onResponseEnd?.(line, {});
    } catch (error) {
      handler.onResponseError?.(line, error as Error);
    }
  }
}

function isStandIn(value: unknown): value is StandIn {
  const { statusCode, body = '' } = Object(value) as Partial<StandIn>;
  return !(value instanceof Answer) && Number.isInteger(statusCode) && (typeof body === 'string' || body instanceof Uint8Array);
}
