/** The body of a request, for as many attempts as it takes. */

/** What gives a body piece by piece: the reader of a stream, or an iterator in the shape of one. */
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
  return body instanceof ReadableStream && body.locked;
}

/** A body that comes piece by piece, as attempts send it. */
export class RequestBody {
  readonly #source: Source;
  /** What was read of it before anything was sent. */
  #head: unknown[] = [];
  #whole: Uint8Array<ArrayBuffer> | undefined = undefined;
  /** Whether an attempt has taken of what is not kept. */
  #taken = false;

  constructor(body: StreamedBody) {
    this.#source = sourceOf(body);
  }

  /**
   * Reads it, so that it can be sent more than once. Answers with whether it can: not if it has more than `most` bytes. Rejects with the reason of `signal` when that aborts.
   */
  async keep(most: number, signal: AbortSignal | undefined): Promise<boolean> {
    const abort = (): void => void this.#source.cancel(signal?.reason).catch(() => undefined);
    signal?.addEventListener('abort', abort, { once: true });
    try {
      let size = 0;
      for (;;) {
        signal?.throwIfAborted();
        const { done, value } = await this.#source.read();
        signal?.throwIfAborted();
        if (done) break;
        this.#head.push(value);
        size += value instanceof Uint8Array ? value.byteLength : Infinity;
        if (size > most) return false;
      }
      this.#whole = joined(this.#head as Uint8Array[], size);
      this.#head = [];
      return true;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** The body for one attempt. @throws TypeError if it was sent and is not there any more */
  open(): Uint8Array<ArrayBuffer> | ReadableStream {
    if (this.#whole !== undefined) return this.#whole;
    if (this.#taken)
      throw new TypeError(
        'The body of this request is a stream that was sent already and was too long to be kept (maxReplayBytes): it cannot be sent again. Mark the request as idempotent: false, or give its body as a whole.',
      );
    const head = [...this.#head];
    return new ReadableStream(
      {
        pull: async (controller) => {
          this.#taken = true;
          this.#head = [];
          const kept = head.shift();
          if (kept !== undefined) {
            controller.enqueue(kept);
            return;
          }
          const { done, value } = await this.#source.read();
          if (done) controller.close();
          else controller.enqueue(value);
        },
        // Of an attempt that never asked for any of it, the next may.
        cancel: async (reason) => {
          if (this.#taken) await this.#source.cancel(reason);
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** Nobody will send it any more. */
  drop(reason: unknown): void {
    if (this.#whole === undefined) void this.#source.cancel(reason).catch(() => undefined);
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
    cancel: async () => await iterator.return?.(),
  };
}

function joined(chunks: readonly Uint8Array[], size: number): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}
