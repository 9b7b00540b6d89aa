import { Readable } from 'node:stream';
import type { Call } from '../../core/call.ts';
import { comesIn } from '../../core/incoming.ts';
import { joined } from '../chunks.ts';
import { AnswerBody } from './answer-body.ts';

/** The body of a response that a caller has, and the stream that it is read through, once somebody asks for it. */
interface Reading {
  readonly body: AnswerBody;
  stream: ReadableStream<Uint8Array> | undefined;
  /** Whether it is or was read as a whole. */
  whole: boolean;
}

const readings = new WeakMap<Response, Reading>();

function readingOf(response: Response): Reading {
  return readings.get(response) as Reading;
}

function streamOf(response: Response): ReadableStream<Uint8Array> {
  const reading = readingOf(response);
  return (reading.stream ??= new ReadableStream(reading.body));
}

/** Reads it as a whole: chunk by chunk, without the stream that nobody has asked for. */
async function bytesOf(response: Response): Promise<Uint8Array<ArrayBuffer>> {
  const reading = readingOf(response);
  if (reading.stream !== undefined) return new Uint8Array(await new Response(reading.stream).arrayBuffer());
  if (reading.whole) throw new TypeError('Body is unusable: Body has already been read');
  reading.whole = true;
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (let chunk = await reading.body.next(); chunk !== undefined; chunk = await reading.body.next()) {
    if (!(chunk instanceof Uint8Array)) throw new TypeError('Received non-Uint8Array chunk');
    chunks.push(chunk);
    size += chunk.byteLength;
  }
  return joined(chunks, size);
}

/** The same bytes with the same type, for what depends on it. */
async function typed(response: Response): Promise<Response> {
  return new Response(await bytesOf(response), { headers: response.headers });
}

async function textOf(response: Response): Promise<string> {
  return new TextDecoder().decode(await bytesOf(response));
}

/** It is right for what a service answers with, though not for what servers are sent. */
interface WithForm {
  formData(): Promise<unknown>;
}

/** What the body of a response is read by. */
const ways = {
  arrayBuffer: async (response: Response): Promise<ArrayBuffer> => (await bytesOf(response)).buffer,
  blob: async (response: Response): Promise<Blob> => await (await typed(response)).blob(),
  bytes: bytesOf,
  clone: copyOf,
  formData: async (response: Response): Promise<unknown> => await ((await typed(response)) as WithForm).formData(),
  json: async (response: Response): Promise<unknown> => JSON.parse(await textOf(response)) as unknown,
  text: textOf,
};

/** Prototypes of responses whose bodies tell of their end, by the prototypes that they extend. */
const shapes = new WeakMap<object, object>();

function shapeOn(prototype: object): object {
  const known = shapes.get(prototype);
  if (known !== undefined) return known;
  const theirs = (name: string): PropertyDescriptor | undefined => Object.getOwnPropertyDescriptor(prototype, name);
  const shape = Object.create(prototype, {
    body: {
      configurable: true,
      enumerable: true,
      get(this: Response): unknown {
        return readingOf(this).whole ? (theirs('body')?.get?.call(this) as unknown) : streamOf(this);
      },
    },
    bodyUsed: {
      configurable: true,
      enumerable: true,
      get(this: Response): boolean {
        const { whole, stream } = readingOf(this);
        return whole || (stream !== undefined && Readable.isDisturbed(stream as never));
      },
    },
  }) as object;
  for (const [name, way] of Object.entries(ways)) {
    if (!(name in prototype)) continue;
    const value = function (this: Response): unknown {
      return way(this);
    };
    Object.defineProperty(shape, name, { configurable: true, enumerable: true, writable: true, value });
  }
  shapes.set(prototype, shape);
  return shape;
}

/** A copy: both it and the response read what comes in. @throws TypeError if it was read */
function copyOf(response: Response): Response {
  const reading = readingOf(response);
  if (response.bodyUsed || streamOf(response).locked) throw new TypeError('Response.clone: Body has already been consumed.');
  const [own, other] = streamOf(response).tee() as [ReadableStream<Uint8Array>, ReadableStream<Uint8Array>];
  reading.stream = own;
  return likewise(new Response(other, response), response);
}

/** Says of a copy how it came about, which nobody can make a response say. */
function likewise(copy: Response, { url, redirected, type }: Response): Response {
  const clone = (): Response => likewise(Response.prototype.clone.call(copy), copy);
  return Object.defineProperties(copy, {
    url: { value: url },
    redirected: { value: redirected },
    type: { value: type },
    clone: { value: clone },
  });
}

/** To look at it a response must be one: test doubles often are less. */
function hasBody(response: Response): response is Response & { readonly body: ReadableStream<Uint8Array> } {
  const { body, status } = response as Partial<Response>;
  return body instanceof ReadableStream && !body.locked && typeof status === 'number' && !readings.has(response);
}

/**
 * What the work of a call answers with when the transport has: its own response, of whose body gates are told when it is over. `exchange` is what the transport runs as. A response without
 * a body is over already.
 */
export function answer(response: Response, exchange: Call, idle: number, signal: AbortSignal | undefined): Response {
  if (!hasBody(response)) {
    exchange.parent?.release(exchange);
    return response;
  }
  const length = Number(response.headers.get('content-length') ?? NaN);
  const body = new AnswerBody(response.body, exchange, idle, length, signal);
  readings.set(response, { body, stream: undefined, whole: false });
  Object.setPrototypeOf(response, shapeOn(Object.getPrototypeOf(response) as object));
  body.onEnd(comesIn(exchange.parent as Call, response));
  return response;
}
