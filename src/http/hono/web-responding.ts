/** A response that is a value, seen to its end: to that of its body, wherever it is sent from. */

import type { Responding } from '../admission/inbound.ts';

/** How far a response of the web platform has come. */
export class WebResponding implements Responding {
  statusCode = 200;
  writableEnded = false;
  destroyed = false;
  readonly #client: AbortSignal | undefined;
  readonly #listeners = new Set<() => void>();

  /** @param client - aborts when the client has left; some platforms have none */
  constructor(client: AbortSignal | undefined) {
    this.#client = client;
    if (client?.aborted === true) this.destroyed = true;
    else client?.addEventListener('abort', this.leave);
  }

  once(_event: 'finish' | 'close', listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeListener(_event: 'finish' | 'close', listener: () => void): void {
    this.#listeners.delete(listener);
  }

  /**
   * The response is on its way. One without a body is over at once, and so is one whose body nobody will read.
   *
   * @returns the response to go on with
   */
  carry(response: Response, unread: boolean): Response {
    const { body, status } = response;
    this.statusCode = status;
    if (body !== null && !unread && status >= 200 && !body.locked) return new Response(this.#followed(body), response);
    this.finish();
    return response;
  }

  /** All of it is there. */
  finish(): void {
    this.writableEnded = true;
    this.#end();
  }

  /** There will not be more of it. */
  fail(): void {
    this.statusCode = 500;
    this.finish();
  }

  /** Nobody waits for the rest. */
  readonly leave = (): void => {
    this.destroyed = true;
    this.#end();
  };

  #end(): void {
    this.#client?.removeEventListener('abort', this.leave);
    for (const listener of this.#listeners) listener();
    this.#listeners.clear();
  }

  #followed(body: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    const reader = body.getReader();
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          try {
            const { value } = await reader.read();
            if (value !== undefined) {
              controller.enqueue(value);
              return;
            }
          } catch (error) {
            this.fail();
            throw error;
          }
          this.finish();
          controller.close();
        },
        cancel: async (reason) => {
          this.leave();
          await reader.cancel(reason);
        },
      },
      // Reads one chunk ahead, so that a body of one is known to be over though middleware throws it away unread.
      { highWaterMark: 2 },
    );
  }
}
