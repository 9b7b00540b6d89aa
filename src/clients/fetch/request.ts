/** A request as it was given to fetch: what there is to know about it, and what each attempt at it sends. */

import type { AddedFields } from '../outbound.ts';
import type { OutboundRequest, RequestOptions } from '../outbound-options.ts';
import { RequestBody, isSpent, streamed } from '../request-body.ts';

/** What `fetch` takes as its second argument, and what the request says about itself. */
export interface GuardedRequestInit extends RequestInit {
  /** What this request says about itself, to policies. */
  readonly breakwater?: RequestOptions | undefined;
}

/** Where a request goes to; nothing if that cannot be told. */
export function urlOf(input: string | URL | Request): URL | undefined {
  try {
    return new URL(input instanceof Request ? input.url : input);
  } catch {
    return undefined;
  }
}

/** A request of which each attempt is a new one. */
export class GivenRequest implements OutboundRequest {
  readonly method: string;
  readonly url: URL;
  readonly own: RequestOptions | undefined;
  /** The caller's. */
  readonly signal: AbortSignal | undefined;
  readonly #input: string | URL | Request;
  readonly #init: RequestInit;
  #headers: Headers | undefined = undefined;
  #body: RequestBody | undefined = undefined;

  constructor(input: string | URL | Request, url: URL, { breakwater, ...init }: GuardedRequestInit) {
    const request = input instanceof Request ? input : undefined;
    this.#input = input;
    this.#init = init;
    this.own = breakwater;
    this.url = url;
    this.method = (init.method ?? request?.method ?? 'GET').toUpperCase();
    this.signal = (init.signal === undefined ? request?.signal : init.signal) ?? undefined;
  }

  field(name: string): string | null {
    return this.#fields.get(name);
  }

  get #fields(): Headers {
    if (this.#headers === undefined) {
      const { headers } = this.#init;
      this.#headers = headers === undefined && this.#input instanceof Request ? this.#input.headers : new Headers(headers);
    }
    return this.#headers;
  }

  /**
   * Takes charge of a body that comes piece by piece; any other can be sent as often as it takes.
   */
  holdBody(maxReplayBytes: number): RequestBody | undefined {
    const body = streamed(this.#init.body ?? (this.#input instanceof Request ? this.#input.body : undefined));
    // fetch says what is wrong with one that is spent.
    if (body !== undefined && !isSpent(body)) this.#body = new RequestBody(body, maxReplayBytes);
    return this.#body;
  }

  /** What one attempt gives to fetch. */
  attempt(added: AddedFields, signal: AbortSignal): [string | URL | Request, RequestInit] {
    const init: RequestInit & { duplex?: 'half' } = { ...this.#init, signal };
    let adds = false;
    for (const name in added) {
      if (!adds) init.headers = new Headers(this.#fields);
      adds = true;
      (init.headers as Headers).set(name, added[name] as string);
    }
    if (this.#body !== undefined) {
      init.body = this.#body.open();
      init.duplex = 'half';
    }
    return [this.#input, init];
  }

  /** No attempt follows. */
  dropBody(reason: unknown): void {
    this.#body?.drop(reason);
  }
}
