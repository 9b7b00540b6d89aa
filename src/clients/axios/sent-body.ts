/** Bodies that axios is given as a stream. */

import { Readable } from 'node:stream';
import { RequestBody, streamed } from '../request-body.ts';

/** The body of a request, for as many attempts as it takes, in shapes that axios's adapters send. */
export class SentBody {
  readonly body: RequestBody;

  /** What can be sent as often as one likes needs none of this. */
  static of(data: unknown, most: number): SentBody | undefined {
    const source = streamed(data) ?? (isOldStream(data) ? Readable.from(new Readable().wrap(data)) : undefined);
    return source && new SentBody(new RequestBody(source, most));
  }

  constructor(body: RequestBody) {
    this.body = body;
  }

  open(): Buffer | Readable {
    const body = this.body.open();
    return body instanceof Uint8Array ? Buffer.from(body) : Readable.fromWeb(body as Parameters<typeof Readable.fromWeb>[0]);
  }
}

/** A stream of the time before they could be iterated: forms of the `form-data` package. */
function isOldStream(data: unknown): data is NodeJS.ReadableStream {
  const { pipe, on } = Object(data) as Partial<NodeJS.ReadableStream>;
  return typeof pipe === 'function' && typeof on === 'function';
}
