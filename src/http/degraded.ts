/** What a guard answers with instead of a refusal: something made beforehand, or a copy of what was answered earlier. */

import type { ServerResponse } from 'node:http';
import type { Asked } from './asked.ts';
import { type Reply, isBodiless } from './reply.ts';

/** An answer made beforehand. */
export interface StaticAnswer {
  /** @defaultValue `200` */
  readonly status?: number;
  /** @defaultValue none but those of the body: `content-type`, `content-length`, `cache-control: no-store`, `x-degraded: static` */
  readonly headers?: Readonly<Record<string, string>>;
  /** A text or bytes as they are; anything else as JSON. */
  readonly body: unknown;
}

/** An answer made for the request, or `undefined` to leave it at the refusal. `error` is the refusal, or the timeout. */
export type MakeAnswer<Req> = (req: Req, error: unknown) => StaticAnswer | undefined | PromiseLike<StaticAnswer | undefined>;

/** Whoever looks at what is answered, to have an answer when there is none. */
export interface Fallback {
  /** A request was admitted: what its handler answers on `response` may be of use later. */
  watch(asked: Asked, response: ServerResponse): void;
  /** The same where responses are values: answers with the one to go on with. */
  watchWeb(asked: Asked, response: Response): Response;
  /** What to answer a request with that is not served; `undefined` if there is nothing. */
  answer(asked: Asked, error: unknown): Reply | undefined;
}

/** What the `fallback` of a guard may be. */
export type Degraded<Req> = StaticAnswer | MakeAnswer<Req> | Fallback;

/** An option as given, in the one shape that guards use. */
export interface Degrading<Req> {
  readonly watch: Fallback['watch'] | undefined;
  readonly watchWeb: Fallback['watchWeb'] | undefined;
  readonly answer: (req: Req, asked: Asked, error: unknown) => Reply | undefined | PromiseLike<Reply | undefined>;
}

/** Whether this may stand as the `fallback` of a guard. */
export function isDegraded(value: unknown): boolean {
  if (typeof value === 'function') return true;
  return typeof value === 'object' && value !== null && (isFallback(value) || 'body' in value);
}

/** Reads the `fallback` of a guard. A static answer is written out once, here. */
export function degrading<Req>(given: Degraded<Req>): Degrading<Req> {
  if (typeof given === 'function')
    return {
      watch: undefined,
      watchWeb: undefined,
      answer: (req, _asked, error) => {
        const made = given(req, error);
        if (made === undefined) return undefined;
        return 'then' in made ? Promise.resolve(made).then((late) => late && written(late, 'made')) : written(made, 'made');
      },
    };
  if (isFallback(given))
    return {
      watch: (asked, response) => given.watch(asked, response),
      watchWeb: (asked, response) => given.watchWeb(asked, response),
      answer: (_req, asked, error) => given.answer(asked, error),
    };
  const reply = written(given, 'static');
  return { watch: undefined, watchWeb: undefined, answer: () => reply };
}

function isFallback(value: object): value is Fallback {
  return 'answer' in value && typeof value.answer === 'function' && 'watch' in value && typeof value.watch === 'function';
}

function written({ status = 200, headers = {}, body }: StaticAnswer, how: 'static' | 'made'): Reply {
  const plain = typeof body === 'string' || body instanceof Uint8Array;
  const bytes: string | Uint8Array = plain ? body : body === undefined ? '' : JSON.stringify(body);
  const type = plain ? (typeof body === 'string' ? 'text/plain; charset=utf-8' : 'application/octet-stream') : 'application/json';
  const all: Record<string, string> = {
    'content-type': type,
    'cache-control': 'no-store',
    'x-degraded': how,
  };
  for (const [name, value] of Object.entries(headers)) all[name.toLowerCase()] = value;
  if (!isBodiless(status)) all['content-length'] = String(Buffer.byteLength(bytes));
  return { status, headers: all, body: bytes };
}
