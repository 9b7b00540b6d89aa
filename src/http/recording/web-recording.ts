/** Records answers where responses are values of the web platform, as in Hono. */

import { Alarm } from '../../core/alarm.ts';
import type { Clock } from '../../core/clock.ts';
import { Bytes, type RecordingDone, changed } from './recorded.ts';
import type { ReplyHeaders } from './reply.ts';

/** How long to wait for what nobody else waits for, ms. */
export interface Patience {
  readonly clock: Clock;
  readonly ms: number;
}

/**
 * Records a response while its body is read. `done` is called once: when all of the body has been read, or with nothing if it broke off or the client has left half-way.
 * Then the source is told to stop; with `patience` the rest is read all the same, if it comes in that time.
 *
 * @param maxBytes - of a longer body nothing is kept
 * @param earlier - fields that others than the handler have set
 * @param patience - for how long the rest is read when nobody waits for it; without it, not at all
 * @returns the response to go on with, in place of the one given
 */
export function recordWeb(
  response: Response,
  maxBytes: number,
  done: RecordingDone,
  earlier: Headers = new Headers(),
  patience?: Patience,
): Response {
  const { status, statusText, body } = response;
  const [headers, before] = [fieldsOf(response.headers), fieldsOf(earlier)];
  const bytes = new Bytes(maxBytes);
  let told = false;
  const tell: RecordingDone = (recorded) => {
    if (!told) done(recorded);
    told = true;
  };
  const finish = (): void => tell({ status, headers, own: changed(headers, before), body: bytes.whole() });
  // One that hands the connection over (101) has nothing to be kept, and cannot be made anew.
  if (status < 200) {
    tell(undefined);
    return response;
  }
  if (body === null) {
    finish();
    return response;
  }
  return new Response(
    tapped(body, bytes, finish, () => tell(undefined), patience),
    { status, statusText, headers: response.headers },
  );
}

function tapped(
  body: ReadableStream<Uint8Array>,
  bytes: Bytes,
  finish: () => void,
  broken: () => void,
  patience: Patience | undefined,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  /** Reads one chunk; answers with it, or with nothing at the end. */
  const read = async (): Promise<Uint8Array | undefined> => {
    try {
      const { value } = await reader.read();
      if (value === undefined) finish();
      else bytes.add(value);
      return value;
    } catch (error) {
      broken();
      throw error;
    }
  };
  let pulled: Promise<unknown> = Promise.resolve();
  return new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        const pulling = read().then((chunk) => {
          if (chunk === undefined) controller.close();
          else controller.enqueue(chunk);
        });
        pulled = pulling.catch(() => undefined);
        return pulling;
      },
      cancel: async (reason) => {
        if (patience === undefined) {
          broken();
          await reader.cancel(reason);
          return;
        }
        const late = (): void => {
          broken();
          reader.cancel(reason).catch(() => undefined);
        };
        const { clock, ms } = patience;
        const alarm = new Alarm(clock, late, true);
        const now = clock.now();
        alarm.set(now + ms, now);
        const stop = async (): Promise<void> => {
          finish();
          await reader.cancel(reason);
        };
        void pulled
          .then(() => drain(read, bytes, stop))
          .catch(() => undefined)
          .finally(() => alarm.clear());
      },
    },
    { highWaterMark: 0 },
  );
}

/** Nobody reads any more: the rest is read to be kept, and once it is too much, the source is told to stop. */
async function drain(read: () => Promise<Uint8Array | undefined>, bytes: Bytes, stop: () => Promise<void>): Promise<void> {
  while (!bytes.over) if ((await read()) === undefined) return;
  await stop();
}

/** Fields by their lower-case names, `set-cookie` line by line. */
export function fieldsOf(headers: Headers): ReplyHeaders {
  const fields = Object.create(null) as Record<string, string | string[]>;
  headers.forEach((value, name) => {
    if (name !== 'set-cookie') fields[name] = value;
  });
  const cookies = headers.getSetCookie();
  if (cookies.length > 0) fields['set-cookie'] = cookies;
  return fields;
}
