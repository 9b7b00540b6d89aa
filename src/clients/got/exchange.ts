/** A request of got as a call through a pipeline. Got repeats requests by itself, with their hooks and bodies; when it does is what the pipeline decides. */

import type { Call } from '../../core/call.ts';
import type { Failure } from '../../core/outcome.ts';
import { streamed } from '../request-body.ts';
import type { Outbound } from '../outbound.ts';
import type { OutboundRequest, RequestOptions } from '../outbound-options.ts';

type Fields = Record<string, string | string[] | undefined>;

/** Options of a request, as far as they are needed here. */
export interface GotOptions {
  readonly url?: string | URL | undefined;
  readonly method: string;
  readonly headers: Fields;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
  readonly context: Record<string, unknown>;
  retry: object;
}

/** An answer that is asked for by hand, and can be given up. */
export interface GotPromise extends Promise<unknown> {
  on(event: 'request', listener: (request: Destroyable) => void): unknown;
  cancel(reason?: string): void;
}

interface Destroyable {
  destroy(error: Error): unknown;
}

/** What got tells when it asks whether to repeat a request. */
interface Asked {
  readonly error: Error & { readonly options?: GotOptions };
  readonly computedValue: number;
}

/** Got waits at least so long, ms, before it repeats a request: our own waiting has been done then. */
const AT_ONCE = 1;

/** One request, with all its attempts. */
export class Exchange {
  readonly #outbound: Outbound;
  readonly #options: GotOptions;
  readonly #next: () => GotPromise;
  readonly #request: OutboundRequest;
  readonly #own: RequestOptions | undefined;
  readonly #repeatable: boolean;
  readonly #leaving = new AbortController();
  /** What got answers in the end. */
  #answer: GotPromise | undefined = undefined;
  #sent: Destroyable | undefined = undefined;
  /** The options of the attempt that failed last, from which got makes those of the next. */
  #latest: GotOptions;
  #error: unknown = undefined;
  #call: Call | undefined = undefined;
  #resolve: (value: unknown) => void = ignore;
  #reject: (error: unknown) => void = ignore;
  /** Tells got after how many ms to go on; 0 for not at all. */
  #goOn: (delay: number) => void = ignore;

  constructor(outbound: Outbound, options: GotOptions, next: () => GotPromise) {
    this.#outbound = outbound;
    this.#options = options;
    this.#latest = options;
    this.#next = next;
    this.#request = described(options);
    this.#own = options.context['breakwater'] as RequestOptions | undefined;
    this.#repeatable = streamed(options.body) === undefined;
    options.retry = { ...options.retry, limit: 0, enforceRetryRules: false, calculateDelay: this.#decide };
  }

  async run(): Promise<unknown> {
    const { signal } = this.#options;
    const left = this.#leaving.signal;
    const leave = (): void => this.#leaving.abort(signal?.reason);
    if (signal?.aborted === true) leave();
    signal?.addEventListener('abort', leave);
    try {
      const asked = this.#outbound.callOptions(this.#request, this.#own, left);
      const call = this.#repeatable ? asked : { ...asked, idempotent: false };
      return await this.#outbound.pipeline.execute(this.#attempt, call);
    } catch (error) {
      this.#goOn(0);
      // Its own errors got tells in its own way: after its hooks, or as a response where that is asked for.
      // What its signal aborted, it has destroyed by itself.
      if (signal?.aborted === true) return await (this.#answer ??= this.#next());
      if (this.#answer === undefined || (error !== this.#error && !left.aborted)) this.#cancel();
      if (left.aborted || error === this.#error) return await this.#answer;
      throw error;
    } finally {
      signal?.removeEventListener('abort', leave);
      this.#goOn(0);
    }
  }

  /** The caller wants no answer any more. */
  leave(): void {
    this.#leaving.abort(new Error('The request was cancelled'));
    this.#cancel();
  }

  /** Gives up what got is at: it has made a request of this, which has to come to an end, even if it was never sent. */
  #cancel(): void {
    const answer = (this.#answer ??= this.#next());
    answer.catch(ignore);
    answer.cancel();
  }

  readonly #attempt = (call: Call): Promise<unknown> => {
    if (this.#error !== undefined && !this.#repeatable) return Promise.reject(this.#error);
    Object.assign(this.#latest.headers, this.#outbound.fieldsFor(call, this.#request, this.#own));
    const outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    const watch = call.derive();
    watch.waiter = this.#cut;
    this.#call = watch;
    if (this.#answer === undefined) this.#begin();
    else this.#goOn(AT_ONCE);
    return outcome.finally(() => call.release(watch));
  };

  #begin(): void {
    const answer = this.#next();
    this.#answer = answer;
    answer.on('request', (request) => {
      this.#sent = request;
      if (this.#call?.failure !== undefined) this.#cut(this.#call.failure);
    });
    answer.then(
      (value) => this.#resolve(value),
      (error: unknown) => this.#fail(error),
    );
  }

  /** The attempt is over: the next begins without this connection. */
  readonly #cut = ({ error }: Failure): void => {
    this.#sent?.destroy(error as Error);
  };

  /** Got has an error and asks what to do. It waits until the pipeline begins another attempt, or is through. */
  readonly #decide = ({ error, computedValue }: Asked): number | Promise<number> => {
    // A hook has asked for the same request with other options.
    if (error.name === 'RetryError') return computedValue;
    const decided = new Promise<number>((resolve) => (this.#goOn = resolve));
    this.#latest = error.options ?? this.#latest;
    this.#fail(error);
    return decided;
  };

  #fail(error: unknown): void {
    this.#error = error;
    this.#reject(error);
  }
}

function described(options: GotOptions): OutboundRequest {
  const { method, headers } = options;
  const given = new Map(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
  let url: URL | undefined;
  return {
    method: method.toUpperCase(),
    get url() {
      return (url ??= new URL(options.url ?? ''));
    },
    field: (name) => given.get(name)?.toString(),
  };
}

function ignore(): void {}
