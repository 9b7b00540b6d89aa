/** Undici's dispatch contract, as far as it is needed here. */

import type { RequestOptions } from '../outbound-options.ts';

/** Fields of an answer, and its trailers. */
export type AnswerFields = Record<string, string | string[] | undefined>;

/** What steers one request on its connection. */
export interface Controller {
  readonly aborted: boolean;
  readonly paused: boolean;
  readonly reason: Error | null;
  rawHeaders?: unknown;
  rawTrailers?: unknown;
  abort(reason: Error): void;
  pause(): void;
  resume(): void;
}

/** Who is told about a request. */
export interface DispatchHandler {
  onRequestStart?(controller: Controller, context: object): void;
  onRequestUpgrade?(controller: Controller, statusCode: number, headers: AnswerFields, socket: unknown): void;
  onResponseStart?(controller: Controller, statusCode: number, headers: AnswerFields, statusMessage?: string): void;
  onResponseData?(controller: Controller, chunk: Buffer): void;
  onResponseEnd?(controller: Controller, trailers: AnswerFields): void;
  onResponseError?(controller: Controller, error: Error): void;
}

/** What a request is sent with. */
export interface DispatchOptions {
  readonly origin?: string | URL;
  readonly path: string;
  readonly method: string;
  readonly body?: unknown;
  readonly headers?: unknown;
  readonly upgrade?: boolean | string | null;
  /** What the request says about itself: see `requestOptions`. */
  readonly breakwater?: RequestOptions;
}

/** Sends a request. */
export type Dispatch = (options: DispatchOptions, handler: DispatchHandler) => boolean;
