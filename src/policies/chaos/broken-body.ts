/** Bodies that break off or come slowly: those of responses, web streams and Node's streams. */

import { Readable } from 'node:stream';
import { Alarm } from '../../core/alarm.ts';
import type { Clock } from '../../core/clock.ts';

/** What becomes of a body on its way to whoever reads it. */
export interface BodyFate {
  /** It fails after so many chunks. */
  readonly chunks: number;
  /** It fails after so many bytes (of strings: characters). */
  readonly bytes: number;
  /** Each chunk is held back so long, ms. */
  readonly delay: number;
  /** What it fails with. */
  readonly error: () => unknown;
}

/** The same answer with a body that meets this fate, or `undefined` if it has no body that could. */
export function breakBody(value: unknown, fate: BodyFate, clock: Clock): unknown {
  if (isWebStream(value)) return value.locked ? undefined : webStream(new Body(webSource(value), fate, clock));
  if (isResponse(value)) return value.body.locked ? undefined : response(value, webStream(new Body(webSource(value.body), fate, clock)));
  if (isNodeStream(value)) return nodeStream(value, new Body(nodeSource(value), fate, clock));
  return undefined;
}

/** Where chunks come from. */
interface Source {
  next(): Promise<{ readonly done?: boolean | undefined; readonly value?: unknown }>;
  cancel(reason: unknown): void;
}

/** A body as its reader gets to see it. */
class Body {
  readonly #source: Source;
  readonly #fate: BodyFate;
  readonly #clock: Clock;
  #chunks: number;
  #bytes: number;
  #alarm: Alarm | undefined = undefined;

  constructor(source: Source, fate: BodyFate, clock: Clock) {
    this.#source = source;
    this.#fate = fate;
    this.#clock = clock;
    this.#chunks = fate.chunks;
    this.#bytes = fate.bytes;
  }

  /** The next chunk, nothing at the end; rejects where the body breaks off. */
  async next(): Promise<{ readonly chunk: unknown } | undefined> {
    if (this.#chunks <= 0 || this.#bytes <= 0) {
      const error = this.#fate.error();
      this.cancel(error);
      throw error;
    }
    const { done, value } = await this.#source.next();
    if (done === true) return undefined;
    if (this.#fate.delay > 0) await this.#wait(this.#fate.delay);
    this.#chunks--;
    const left = this.#bytes;
    this.#bytes -= sizeOf(value);
    return { chunk: this.#bytes < 0 ? firstOf(value, left) : value };
  }

  /** Nobody reads on. */
  cancel(reason: unknown): void {
    this.#alarm?.clear();
    this.#source.cancel(reason);
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#alarm ??= new Alarm(this.#clock, () => this.#woken());
      this.#woken = resolve;
      const now = this.#clock.now();
      this.#alarm.set(now + ms, now);
    });
  }

  #woken: () => void = () => undefined;
}

function sizeOf(chunk: unknown): number {
  if (typeof chunk === 'string') return chunk.length;
  return ArrayBuffer.isView(chunk) ? chunk.byteLength : 0;
}

function firstOf(chunk: unknown, size: number): unknown {
  return typeof chunk === 'string' ? chunk.slice(0, size) : (chunk as Uint8Array).subarray(0, size);
}

function webSource(stream: ReadableStream): Source {
  const reader = stream.getReader();
  return { next: () => reader.read(), cancel: (reason) => void reader.cancel(reason).catch(ignore) };
}

/** Chunks are only asked for when somebody reads: what was handed over stays readable when the body then fails. */
function webStream(body: Body): ReadableStream {
  return new ReadableStream<unknown>(
    {
      async pull(controller) {
        const next = await body.next();
        if (next === undefined) controller.close();
        else controller.enqueue(next.chunk);
      },
      cancel: (reason) => body.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

type Answer = Response & { readonly body: ReadableStream };

/** A response of the same class; what its constructor does not take is kept beside it. */
function response(given: Answer, body: ReadableStream): Response {
  const Type = given.constructor as typeof Response;
  const { status, statusText, headers, url, redirected, type } = given;
  const broken = new Type(body, { status, statusText, headers });
  return Object.defineProperties(broken, { url: { value: url }, redirected: { value: redirected }, type: { value: type } });
}

function nodeSource(stream: Readable): Source {
  const chunks = stream[Symbol.asyncIterator]();
  return { next: () => chunks.next(), cancel: () => void stream.on('error', ignore).destroy() };
}

/** What the stream knows besides (the status and headers of a message) is still asked of it. */
function nodeStream(given: Readable, body: Body): Readable {
  const { readableObjectMode: objectMode, readableEncoding: encoding } = given;
  const fresh = new Readable({
    objectMode,
    ...(encoding !== null && { encoding }),
    highWaterMark: 0,
    read() {
      body.next().then(
        (next) => this.push(next === undefined ? null : next.chunk),
        (error: unknown) => this.destroy(error as Error),
      );
    },
    destroy(error, done) {
      body.cancel(error);
      done(error);
    },
  });
  return new Proxy(fresh, { get: (own, name) => Reflect.get(name in own ? own : given, name) as unknown });
}

function isWebStream(value: unknown): value is ReadableStream {
  const { getReader, pipeThrough } = Object(value) as Partial<ReadableStream>;
  return typeof getReader === 'function' && typeof pipeThrough === 'function';
}

function isResponse(value: unknown): value is Answer {
  const { body, status, clone } = Object(value) as Partial<Response>;
  return typeof status === 'number' && typeof clone === 'function' && isWebStream(body);
}

function isNodeStream(value: unknown): value is Readable {
  const { pipe, read, destroy, [Symbol.asyncIterator]: iterate } = Object(value) as Partial<Readable>;
  return [pipe, read, destroy, iterate].every((part) => typeof part === 'function');
}

function ignore(): void {}
