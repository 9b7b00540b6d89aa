/** Answers in Hono's own terms: the response of a context. */

import { describingFields, isBodiless } from '../recording/describing-fields.ts';
import type { Answer } from '../admission/response.ts';

/** What is used of Hono's context. */
export interface Answerable {
  readonly finalized: boolean;
  readonly error: Error | undefined;
  readonly res: Response;
  newResponse(body: null, status: 200): Response;
}

/** The answer as a response. Fields that earlier middleware has set (CORS, security) stay. */
export function responseOf(context: Answerable, { status, headers: own, body }: Answer): Response {
  const headers = new Headers((context.finalized ? context.res : context.newResponse(null, 200)).headers);
  for (const name of describingFields) headers.delete(name);
  for (const [name, value] of Object.entries(own)) headers.set(name, value);
  if (!isBodiless(status)) return new Response(body, { status, headers });
  headers.delete('content-length');
  headers.delete('content-type');
  return new Response(null, { status, headers });
}

/** Puts the response in place of the one that was there, which is let go. */
export function put(context: Answerable, response: Response): void {
  const own = Object.getPrototypeOf(context) as object;
  if (context.finalized && context.res !== response) discard(context.res);
  // Hono adds the fields of the response that was there to one that follows it.
  Reflect.set(own, 'res', undefined, context);
  Reflect.set(own, 'res', response, context);
}

/** Lets a response go that nobody gets. */
function discard({ body }: Response): void {
  if (body !== null && !body.locked) body.cancel().catch(() => undefined);
}

/**
 * Keeps the response of a handler that was answered for. If it fails while `running`, Hono has `onError` make a response of that, and would send it in place of
 * the one that is there.
 *
 * @returns what undoes it
 */
export function keep(context: Answerable, running: () => boolean): () => void {
  const own = Object.getPrototypeOf(context) as object;
  let { error } = context;
  let failures = error === undefined || context.finalized ? 0 : 1;
  Object.defineProperties(context, {
    error: {
      configurable: true,
      enumerable: true,
      get: () => error,
      set: (thrown: Error | undefined) => {
        error = thrown;
        if (running()) failures++;
      },
    },
    res: {
      configurable: true,
      get: () => Reflect.get(own, 'res', context) as Response,
      set: (response: Response | undefined) => {
        if (failures === 0 || response === undefined) Reflect.set(own, 'res', response, context);
        else {
          failures--;
          discard(response);
        }
      },
    },
  });
  return () => {
    Reflect.deleteProperty(context, 'res');
    Object.defineProperty(context, 'error', { configurable: true, enumerable: true, writable: true, value: error });
  };
}
