/** What a handler answered, as it is kept. */

import type { ReplyHeaders } from './reply.ts';

/** The answer of a handler, complete. */
export interface Recorded {
  readonly status: number;
  /** All fields of it, by their lower-case names. */
  readonly headers: ReplyHeaders;
  /** Fields that the handler itself has set, and none that stood there before it ran (CORS, security, request ids). */
  readonly own: ReplyHeaders;
  /** The bytes that went to the client, as they went, compressed if they were; `undefined` if there were more than were to be kept. */
  readonly body: Uint8Array | undefined;
}

/** Called once: with what was answered, or with nothing if the answer was cut off by who gave it. */
export type RecordingDone = (recorded: Recorded | undefined) => void;

/** Fields about one connection, or one transfer, which say nothing about the next (RFC 9110, 7.6.1). */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Takes the fields that may be given again in another answer. Those in `without` are left out, too. */
export function lasting(headers: ReplyHeaders, without: readonly string[]): Record<string, string | string[]> {
  const connection = new Set(linesOf(headers, 'connection').flatMap((line) => line.toLowerCase().split(/\s*,\s*/)));
  const kept = Object.create(null) as Record<string, string | string[]>;
  for (const [name, value] of Object.entries(headers))
    if (!hopByHop.has(name) && !connection.has(name) && !without.includes(name)) kept[name] = value;
  return kept;
}

/** The lines of one field. */
export function linesOf(headers: ReplyHeaders, name: string): readonly string[] {
  const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
  return value === undefined ? [] : typeof value === 'string' ? [value] : value;
}

/** Fields as texts, by lower-case names; no pseudo-fields of HTTP/2. */
export function textual(given: object): Record<string, string | string[]> {
  const headers = Object.create(null) as Record<string, string | string[]>;
  for (const [name, value] of Object.entries(given) as [string, unknown][]) {
    if (value === undefined || name.startsWith(':')) continue;
    const lines = [value].flat(2).map(String);
    headers[name.toLowerCase()] = lines.length === 1 ? (lines[0] as string) : lines;
  }
  return headers;
}

/** The fields that are not what they were before. */
export function changed(headers: ReplyHeaders, before: ReplyHeaders): ReplyHeaders {
  const own = Object.create(null) as Record<string, string | string[]>;
  for (const [name, value] of Object.entries(headers)) if (String(value) !== String(before[name])) own[name] = value;
  return own;
}

/** Whether there is as much of a body as was announced, as far as that can be told. */
export function isWhole({ headers, body }: Pick<Recorded, 'headers' | 'body'>): boolean {
  const length = linesOf(headers, 'content-length')[0];
  return length === undefined || body === undefined || Number(length) === body.byteLength;
}

/** About how many bytes of memory fields take. */
export function sizeOfHeaders(headers: ReplyHeaders): number {
  let size = 0;
  for (const [name, value] of Object.entries(headers))
    size += 32 + 2 * (name.length + (typeof value === 'string' ? value.length : value.reduce((sum, line) => sum + line.length, 0)));
  return size;
}

/** The bytes of a body as they come, up to a bound; beyond it all are forgotten. They are copied: whoever wrote them may use the memory again. */
export class Bytes {
  readonly #most: number;
  /** Grows by doubling, so that many small chunks take no more than few large ones. */
  #buffer: Buffer | undefined = Buffer.alloc(0);
  #length = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** Whether there were too many. */
  get over(): boolean {
    return this.#buffer === undefined;
  }

  add(chunk: Uint8Array | string, encoding?: unknown): void {
    if (this.#buffer === undefined) return;
    const kind = typeof encoding === 'string' && Buffer.isEncoding(encoding) ? encoding : 'utf8';
    const length = typeof chunk === 'string' ? Buffer.byteLength(chunk, kind) : chunk.byteLength;
    const end = this.#length + length;
    if (end > this.#most) {
      this.#buffer = undefined;
      return;
    }
    if (end > this.#buffer.length) {
      const larger = Buffer.alloc(Math.min(Math.max(end, 2 * this.#buffer.length, 1024), Math.max(end, this.#most)));
      larger.set(this.#buffer);
      this.#buffer = larger;
    }
    if (typeof chunk === 'string') this.#buffer.write(chunk, this.#length, kind);
    else this.#buffer.set(chunk, this.#length);
    this.#length = end;
  }

  /** All of them, in memory that is no larger and shared with nothing. */
  whole(): Uint8Array | undefined {
    return this.#buffer === undefined ? undefined : new Uint8Array(this.#buffer.subarray(0, this.#length));
  }
}
