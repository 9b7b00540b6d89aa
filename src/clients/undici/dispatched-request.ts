/** A request on its way through a dispatcher, as the options of clients see it. */

import type { AddedFields } from '../outbound.ts';
import type { OutboundRequest } from '../outbound-options.ts';
import type { DispatchOptions } from './dispatching.ts';

/** Where a request goes to whose dispatcher keeps that to itself: `Client` and `Pool` have one origin each. */
const UNTOLD = 'http://origin.invalid';

/** Fields of a request in one of undici's shapes: names and values in turn, pairs, or a record. */
export class DispatchedRequest implements OutboundRequest {
  readonly method: string;
  readonly #options: DispatchOptions;
  /** Pairs that can be iterated only once are read once. */
  readonly #fields: object;
  #url: URL | undefined;
  #values: Map<string, string> | undefined;

  constructor(options: DispatchOptions) {
    this.method = options.method.toUpperCase();
    this.#options = options;
    const { headers } = options;
    this.#fields = isPairs(headers) ? [...headers].flat() : (headers ?? {});
  }

  /** Its path says nothing of where it goes to, whatever it looks like: `//other.example/` is sent to the origin as it stands. */
  get url(): URL {
    if (this.#url === undefined) {
      const { origin, path } = this.#options;
      const base = typeof origin === 'object' ? origin.origin : (origin ?? UNTOLD).replace(/\/$/, '');
      this.#url = new URL(path.startsWith('/') ? `${base}${path}` : `${base}/${path}`);
    }
    return this.#url;
  }

  field(name: string): string | undefined {
    this.#values ??= this.#read();
    return this.#values.get(name);
  }

  /** The fields with some more, in the shape in which they came. */
  with(added: AddedFields): unknown {
    const fields = this.#fields;
    return Array.isArray(fields) ? [...(fields as unknown[]), ...Object.entries(added).flat()] : { ...fields, ...added };
  }

  #read(): Map<string, string> {
    const list: readonly unknown[] = Array.isArray(this.#fields) ? this.#fields : Object.entries(this.#fields).flat();
    const values = new Map<string, string>();
    for (let i = 0; i + 1 < list.length; i += 2) {
      const [name, value] = [list[i], list[i + 1]] as [string, string | readonly string[] | null | undefined];
      if (value !== undefined && value !== null) values.set(name.toLowerCase(), value.toString());
    }
    return values;
  }
}

function isPairs(headers: unknown): headers is Iterable<readonly [string, unknown]> {
  return typeof headers === 'object' && headers !== null && !Array.isArray(headers) && Symbol.iterator in headers;
}
