/** What is looked at of a request, whatever framework it came through. */

import type { IncomingMessage } from 'node:http';

/** A request, as those see it that need no more than this. */
export interface Asked {
  /** In upper case, as it stood in the request. */
  readonly method: string;
  /** What was asked for: path and query. */
  readonly url: string;
  /** Fields by their lower-case names. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

/** Fields that say who asks: an answer to a request with one of these may be meant for nobody else. */
const credentials: readonly string[] = ['authorization', 'cookie', 'x-api-key'];

/** What a request of Node's asks for. Express and its like cut the place of a router off `url`; two routers must not be taken for one. */
export function askedOf(request: IncomingMessage & { readonly originalUrl?: unknown }): Asked {
  const { method = 'GET', url = '/', originalUrl, headers } = request;
  return { method, url: typeof originalUrl === 'string' ? originalUrl : url, headers };
}

/** What a request of the web platform asks for. */
export function askedOfWeb(request: Pick<Request, 'method' | 'url' | 'headers'>): Asked {
  const { pathname, search } = new URL(request.url);
  const headers = Object.create(null) as Record<string, string>;
  for (const [name, value] of request.headers) headers[name] = value;
  return { method: request.method, url: pathname + search, headers };
}

/** One field of a request, its lines joined; `undefined` if it is not there. */
export function fieldOf({ headers }: Asked, name: string): string | undefined {
  const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
  return typeof value === 'object' ? value.join(', ') : value;
}

/** What the request says about who sends it; empty if it says nothing. */
export function credentialsOf(asked: Asked): readonly (readonly [name: string, value: string])[] {
  return credentials.flatMap((name) => {
    const value = fieldOf(asked, name);
    return value === undefined ? [] : [[name, value] as const];
  });
}
