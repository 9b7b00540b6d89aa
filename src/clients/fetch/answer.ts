import type { Call } from '../../core/call.ts';
import { comesIn } from '../../core/incoming.ts';
import { AnswerBody } from './answer-body.ts';

/** What a response says about how it came about; nobody can make one that says so. */
type Origin = Pick<Response, 'url' | 'redirected' | 'type'>;

/** The global class as one that can be extended: types of Node tell its members as fields of each response. */
const Base = Response as unknown as new (body: ReadableStream | null, init: ResponseInit) => object;

/** The response that a caller gets: the transport's own, with a body that tells of its end. */
class Answer extends Base {
  readonly #origin: Origin;

  constructor(body: ReadableStream | null, from: Response, origin: Origin) {
    super(body, from);
    this.#origin = origin;
  }

  get url(): string {
    return this.#origin.url;
  }

  get redirected(): boolean {
    return this.#origin.redirected;
  }

  get type(): Response['type'] {
    return this.#origin.type;
  }

  clone(): Response {
    const copy = Response.prototype.clone.call(this as unknown as Response);
    return answerOf(copy.body, copy, this.#origin);
  }
}

function answerOf(body: ReadableStream | null, from: Response, origin: Origin): Response {
  return new Answer(body, from, origin) as unknown as Response;
}

/** To look at it a response must be one: test doubles often are less. */
function hasBody(response: Response): response is Response & { readonly body: ReadableStream<Uint8Array> } {
  const { body, status } = response as Partial<Response>;
  return body instanceof ReadableStream && !body.locked && typeof status === 'number' && status >= 200 && status <= 599;
}

/**
 * What the work of a call answers with when the transport has: gates are told of it when its body is over. `exchange` is what the transport runs as. A response without a body is over
 * already.
 */
export function answer(response: Response, exchange: Call, idle: number, signal: AbortSignal | undefined): Response {
  if (!hasBody(response)) {
    exchange.parent?.release(exchange);
    return response;
  }
  const length = Number(response.headers.get('content-length') ?? NaN);
  const body = new AnswerBody(response.body, exchange, idle, length, signal);
  const given = answerOf(new ReadableStream(body), response, response);
  body.onEnd(comesIn(exchange.parent as Call, given));
  return given;
}
