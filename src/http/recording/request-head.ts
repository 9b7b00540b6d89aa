/** The head of a request: what is looked at of it, whatever framework it came through. */

/** A request, for those who need no more of it than this. */
export interface RequestHead {
  /** In upper case, as it stood in the request. */
  readonly method: string;
  /** Of which host it was asked, in lower case; empty if that was not said. Proxies may say so in other fields: those are anybody's to write. */
  readonly authority: string;
  /** What was asked for: path and query. */
  readonly url: string;
  /** Fields by their lower-case names. */
  readonly headers: RequestFields;
}

/** Fields of a request as Node has them. */
export type RequestFields = Readonly<Record<string, string | readonly string[] | undefined>>;

/** A request that shows its head as Node's does: Express's and Fastify's requests, Koa's context. */
export interface NodeShaped {
  readonly method?: string | undefined;
  readonly url?: string | undefined;
  readonly originalUrl?: string | undefined;
  readonly headers: RequestFields;
}

/** A request of the web platform; Hono's context has it as `req.raw`. */
export interface WebShaped {
  readonly req: { readonly raw: WebRequest };
}

type WebRequest = Pick<Request, 'method' | 'url' | 'headers'>;

/** Fields that say who asks: an answer to a request with one of these may be meant for nobody else. */
const credentials: readonly string[] = ['authorization', 'cookie', 'x-api-key'];

/**
 * The head of a request. Express and its like cut the place of a router off `url`: what counts is what the client asked for, or two routers would be taken
 * for one.
 */
export function headOf(request: NodeShaped | WebShaped | WebRequest): RequestHead {
  const within = (request as Partial<WebShaped>).req?.raw;
  if (within !== undefined) return webHead(within);
  const given = request as NodeShaped | WebRequest;
  if (typeof (given.headers as Headers).entries === 'function') return webHead(given as WebRequest);
  const { method = 'GET', url = '/', originalUrl, headers } = given as NodeShaped;
  return { method, authority: authorityOf(headers), url: originalUrl ?? url, headers };
}

/** HTTP/2 has the host in a field of its own. Where both are there and differ, handlers may go by either of them. */
function authorityOf(headers: RequestFields): string {
  const [named, host] = [lineOf(headers, ':authority')?.toLowerCase(), lineOf(headers, 'host')?.toLowerCase()];
  return named === undefined || host === undefined || named === host ? (named ?? host ?? '') : `${named} ${host}`;
}

function webHead({ method, url, headers }: WebRequest): RequestHead {
  const fields = Object.create(null) as Record<string, string>;
  headers.forEach((value, name) => {
    fields[name] = value;
  });
  const { host, pathname, search } = new URL(url);
  return { method, authority: host, url: pathname + search, headers: fields };
}

/** One field, its lines joined; `undefined` if it is not there. */
export function fieldOf({ headers }: RequestHead, name: string): string | undefined {
  return lineOf(headers, name);
}

function lineOf(headers: RequestFields, name: string): string | undefined {
  const value = Object.hasOwn(headers, name) ? headers[name] : undefined;
  return typeof value === 'object' ? value.join(', ') : value;
}

/** What the request says about who sends it, name and value by turns; empty if it says nothing. */
export function credentialsOf(head: RequestHead): readonly string[] {
  return credentials.flatMap((name) => {
    const value = fieldOf(head, name);
    return value === undefined ? [] : [name, value];
  });
}

/** The place of a request's page, in one text. No field has a line break in it, so no two places are the same text. */
export function placeOf({ authority, url }: RequestHead): string {
  return `${authority}\n${url}`;
}
