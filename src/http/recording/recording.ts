/**
 * Records what a handler answers on Node's own response while it goes to the client. Frameworks stand on that response (Express, Fastify's `reply.raw`,
 * Koa's `ctx.res`), so what they send is seen, too.
 */

import type { ServerResponse } from 'node:http';
import { isBodiless } from './describing-fields.ts';
import { Bytes, type Recorded, type RecordingDone, changed, textual } from './recorded.ts';
import type { ReplyHeaders } from './reply.ts';

type Method = (...given: readonly unknown[]) => unknown;
type Name = 'writeHead' | 'write' | 'end' | 'destroy';

/** Whether an answer that begins like this is to be recorded. */
export type Wanted = (status: number, headers: ReplyHeaders) => boolean;

const always: Wanted = () => true;

/** Taps on responses that are being recorded: one for each, however many record. */
const taps = new WeakMap<ServerResponse, Tap>();

/**
 * Records the answer to come. `done` is called once, as soon as the handler has ended the response, whether or not the client is still there to get
 * it; or with nothing if the server destroys the response before that. Nothing else about the response changes, and when nobody records any more it has its own methods again.
 *
 * @param maxBytes - of a longer body nothing is kept
 * @param before - fields that others than the handler have set, where the framework keeps them to itself until they are sent (Fastify's `reply.getHeaders()`)
 * @param wanted - is asked once the first line and the fields are there; if it says no, `done` is called with nothing and no byte is kept
 * @returns a function that stops recording; `done` is not called then
 */
export function record(
  response: ServerResponse,
  maxBytes: number,
  done: RecordingDone,
  before: object = response.getHeaders(),
  wanted: Wanted = always,
): () => void {
  let tap = taps.get(response);
  if (tap === undefined) taps.set(response, (tap = new Tap(response)));
  return tap.add(new Recorder(maxBytes, done, textual(before), wanted));
}

class Recorder {
  readonly done: RecordingDone;
  readonly bytes: Bytes;
  readonly before: ReplyHeaders;
  readonly wanted: Wanted;

  constructor(maxBytes: number, done: RecordingDone, before: ReplyHeaders, wanted: Wanted) {
    this.done = done;
    this.bytes = new Bytes(maxBytes);
    this.before = before;
    this.wanted = wanted;
  }

  recorded(status: number, headers: ReplyHeaders, head: boolean): Recorded {
    const own = changed(headers, this.before);
    return { status, headers, own, body: head || isBodiless(status) ? new Uint8Array(0) : this.bytes.whole() };
  }
}

class Tap {
  readonly #response: ServerResponse;
  readonly #recorders = new Set<Recorder>();
  readonly #restore: (() => void)[] = [];
  /** The first line and the fields, once they are on their way. */
  #head: { readonly status: number; readonly headers: ReplyHeaders } | undefined = undefined;
  /** `end` is at work: what it writes is what it was given. */
  #ending = false;

  constructor(response: ServerResponse) {
    this.#response = response;
    this.#patch('writeHead', (original, given) => {
      // As they are here, together with the bytes that are seen here: whoever stands further out (compression) changes both.
      const head = { status: Number(given[0]), headers: headersOf(response, given) };
      const result = original(...given);
      if (this.#head === undefined) {
        this.#head = head;
        this.#sift(head);
      }
      return result;
    });
    this.#patch('write', (original, given) => {
      const counts = !this.#ending && !response.writableEnded;
      const result = original(...given);
      if (counts) this.#add(given);
      return result;
    });
    this.#patch('end', (original, given) => {
      if (this.#ending || response.writableEnded) return original(...given);
      this.#ending = true;
      try {
        const result = original(...given);
        this.#add(given);
        this.#finish();
        return result;
      } finally {
        this.#ending = false;
      }
    });
    this.#patch('destroy', (original, given) => {
      // If the client has left it is destroyed already, and the handler may still come to its end.
      const cut = !response.destroyed && !response.writableEnded;
      const result = original(...given);
      if (cut) this.#close((recorder) => recorder.done(undefined));
      return result;
    });
  }

  add(recorder: Recorder): () => void {
    this.#recorders.add(recorder);
    return () => {
      if (this.#recorders.delete(recorder) && this.#recorders.size === 0) this.#close(() => undefined);
    };
  }

  /** Puts `around` in front of a method, for as long as nobody else puts something in front of that. */
  #patch(name: Name, around: (original: Method, given: readonly unknown[]) => unknown): void {
    const response = this.#response as unknown as Record<Name, Method>;
    const before = Object.getOwnPropertyDescriptor(response, name);
    const original: Method = response[name].bind(response);
    const patched: Method = (...given) => (taps.get(this.#response) === this ? around(original, given) : original(...given));
    Object.defineProperty(response, name, { configurable: true, enumerable: false, writable: true, value: patched });
    this.#restore.push(() => {
      if (Object.getOwnPropertyDescriptor(response, name)?.value !== patched) return;
      if (before === undefined) Reflect.deleteProperty(response, name);
      else Object.defineProperty(response, name, before);
    });
  }

  #add([chunk, encoding]: readonly unknown[]): void {
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) return;
    if (this.#response.req.method === 'HEAD') return;
    for (const { bytes } of this.#recorders) bytes.add(chunk, encoding);
  }

  #finish(): void {
    // Nothing is sent to a client that has left, and yet it was answered.
    const { status, headers } = this.#head ?? { status: this.#response.statusCode, headers: textual(this.#response.getHeaders()) };
    const head = this.#response.req.method === 'HEAD';
    this.#close((recorder) => recorder.done(recorder.recorded(status, headers, head)));
  }

  /** Lets those go that do not want what is coming. */
  #sift({ status, headers }: { readonly status: number; readonly headers: ReplyHeaders }): void {
    for (const recorder of this.#recorders) {
      if (recorder.wanted(status, headers)) continue;
      this.#recorders.delete(recorder);
      recorder.done(undefined);
    }
    if (this.#recorders.size === 0) this.#close(() => undefined);
  }

  #close(tell: (recorder: Recorder) => void): void {
    if (taps.get(this.#response) === this) taps.delete(this.#response);
    for (const restore of this.#restore) restore();
    for (const recorder of this.#recorders) {
      this.#recorders.delete(recorder);
      tell(recorder);
    }
  }
}

/** The fields as `writeHead` will send them: those that are set, and over them those that it is given: an object, names and values by turns, or pairs. */
function headersOf(response: ServerResponse, [, second, third]: readonly unknown[]): ReplyHeaders {
  const given = typeof second === 'object' && second !== null ? second : third;
  return Object.assign(textual(response.getHeaders()), textual(Array.isArray(given) ? listed(given) : (given ?? {})));
}

function listed(list: readonly unknown[]): object {
  const lines = Object.create(null) as Record<string, unknown[]>;
  const flat = Array.isArray(list[0]) ? (list as readonly (readonly unknown[])[]).flatMap(([name, value]) => [name, value]) : list;
  for (let i = 0; i + 1 < flat.length; i += 2) (lines[String(flat[i]).toLowerCase()] ??= []).push(flat[i + 1]);
  return lines;
}
