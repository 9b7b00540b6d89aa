/** The body of a request that comes piece by piece, for as many attempts as it takes. */

import { Readable } from 'node:stream';
import { joined } from './chunks.ts';

/** What gives its pieces: the reader of a stream, or an iterator in the shape of one. */
interface Source {
  read(): Promise<{ readonly done: boolean; readonly value?: unknown }>;
  cancel(reason: unknown): Promise<unknown>;
}

/** A body that comes piece by piece. Others (strings, bytes, forms, blobs) can be sent as often as anybody likes. */
export type StreamedBody = ReadableStream | AsyncIterable<unknown>;

/** A body that comes piece by piece, if this is one. */
export function streamed(body: unknown): StreamedBody | undefined {
  if (typeof body !== 'object' || body === null || body instanceof Blob) return undefined;
  const isStream = body instanceof ReadableStream || typeof (body as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator] === 'function';
  return isStream ? (body as StreamedBody) : undefined;
}

/** Whether somebody reads it already, or has: fetch says what is wrong with that. */
export function isSpent(body: StreamedBody): boolean {
  return Readable.isDisturbed(body as Readable) || (body instanceof ReadableStream && body.locked);
}

/**
 * Keeps the first pieces of a body, as many as are allowed to be kept, and gives them to every attempt. The rest can be had once: an attempt that asks for more takes it, and there can
 * be no other after it.
 */
export class RequestBody {
  readonly #source: Source;
  readonly #most: number;
  #kept: unknown[] = [];
  #size = 0;
  #whole: Uint8Array<ArrayBuffer> | undefined = undefined;
  /** Whether the source has no more, and with what error it ended. */
  #over = false;
  #error: { readonly thrown: unknown } | undefined = undefined;
  #reading: Promise<void> | undefined = undefined;
  /** The attempt that takes what is not kept. */
  #taker: object | undefined = undefined;

  /** `most`: how much of it may be kept, bytes. */
  constructor(body: StreamedBody, most: number) {
    this.#source = sourceOf(body);
    this.#most = most;
  }

  /**
   * Reads it to its end, so that it can be sent more than once, or until it is too long for that. Answers with whether it can. An abort rejects with its reason at once, whatever the
   * source does.
   */
  async keep(signal: AbortSignal): Promise<boolean> {
    signal.throwIfAborted();
    let abort!: () => void;
    const aborted = new Promise<never>((_, reject) => {
      abort = () => reject(signal.reason as Error);
    });
    signal.addEventListener('abort', abort, { once: true });
    try {
      while (!this.#over && this.#size <= this.#most) await Promise.race([aborted, this.#read()]);
    } finally {
      signal.removeEventListener('abort', abort);
    }
    // What it broke off with, fetch is to say.
    if (this.#size > this.#most || this.#error !== undefined) return false;
    this.#whole = joined(this.#kept as Uint8Array[], this.#size);
    this.#kept = [];
    return true;
  }

  /** The body for one attempt. @throws TypeError if it is not there any more */
  open(): Uint8Array<ArrayBuffer> | ReadableStream {
    if (this.#whole !== undefined) return this.#whole;
    const attempt = {};
    this.#allow(attempt);
    let at = 0;
    const pull = async (controller: ReadableStreamDefaultController): Promise<void> => {
      this.#allow(attempt);
      if (at === this.#kept.length && this.#size <= this.#most && !this.#over) await this.#read();
      if (at < this.#kept.length) controller.enqueue(this.#kept[at++]);
      else if (this.#error !== undefined) throw this.#error.thrown;
      else if (this.#over) controller.close();
      else await this.#take(attempt, controller);
    };
    return new ReadableStream({ pull }, { highWaterMark: 0 });
  }

  /** Nobody will send it any more. */
  drop(reason: unknown): void {
    if (this.#over) return;
    this.#over = true;
    // What was read of it must not pass for all of it.
    this.#error = { thrown: reason };
    this.#source.cancel(reason).catch(() => undefined);
  }

  #allow(attempt: object): void {
    if (this.#taker === undefined || this.#taker === attempt) return;
    throw new TypeError(
      'The body of this request is a stream that was sent already and was too long to be kept (maxReplayBytes): it cannot be sent again. Mark the request as idempotent: false, or give its body as a whole.',
    );
  }

  /** Gives an attempt what is not kept. */
  async #take(attempt: object, controller: ReadableStreamDefaultController): Promise<void> {
    this.#taker = attempt;
    this.#kept = [];
    const { done, value } = await this.#source.read();
    if (this.#error !== undefined) throw this.#error.thrown;
    if (done) this.#over = true;
    if (done) controller.close();
    else controller.enqueue(value);
  }

  /** Reads one piece more and keeps it; several attempts at a time wait for the same. */
  #read(): Promise<void> {
    this.#reading ??= this.#readOne().finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  async #readOne(): Promise<void> {
    try {
      const { done, value } = await this.#source.read();
      if (this.#over) return;
      this.#over = done;
      if (done) return;
      this.#kept.push(value);
      this.#size += value instanceof Uint8Array ? value.byteLength : Infinity;
    } catch (error) {
      if (this.#over) return;
      this.#over = true;
      this.#error = { thrown: error };
    }
  }
}

function sourceOf(body: StreamedBody): Source {
  if (body instanceof ReadableStream) return body.getReader() as Source;
  const iterator = body[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  return {
    read: async () => {
      const { done = false, value } = (await iterator.next()) as { done?: boolean; value: unknown };
      return { done, value: typeof value === 'string' ? encoder.encode(value) : value };
    },
    // The iterator of a stream would first wait for the piece it was asked for.
    cancel: async () => (isNodeStream(body) ? body.on('error', nothing).destroy() : await iterator.return?.()),
  };
}

function isNodeStream(body: object): body is Readable {
  const { pipe, on, destroy } = body as Partial<Readable>;
  return typeof pipe === 'function' && typeof on === 'function' && typeof destroy === 'function';
}

/** What goes wrong with a body that nobody sends is nobody's concern. */
function nothing(): void {}
