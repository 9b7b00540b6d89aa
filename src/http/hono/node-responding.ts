/** A response on Node: what the server sends is what counts, whatever was made of the handler's answer on the way. */

import type { Responding } from '../admission/inbound.ts';

/** Node's own response, of HTTP/1 or HTTP/2. */
export interface Outgoing extends Responding {
  readonly headersSent: boolean;
  readonly errored?: Error | null;
}

/** The same, but an answer that broke off while it was made has failed: the server ends it as if it was complete. */
export class NodeResponding implements Responding {
  readonly #outgoing: Outgoing;

  constructor(outgoing: Outgoing) {
    this.#outgoing = outgoing;
  }

  get statusCode(): number {
    const { errored, statusCode } = this.#outgoing;
    return errored === undefined || errored === null ? statusCode : 500;
  }

  get writableEnded(): boolean {
    return this.#outgoing.writableEnded;
  }

  get destroyed(): boolean {
    const { destroyed, stream } = this.#outgoing;
    return destroyed || stream?.destroyed === true;
  }

  /** `null` while it waits in a pipeline behind another one. */
  get socket(): object | null {
    const { socket } = this.#outgoing;
    return socket === undefined ? this.#outgoing : socket;
  }

  get req(): NonNullable<Responding['req']> {
    return this.#outgoing.req ?? { socket: null };
  }

  once(event: 'finish' | 'close', listener: () => void): void {
    this.#outgoing.once(event, listener);
  }

  removeListener(event: 'finish' | 'close', listener: () => void): void {
    this.#outgoing.removeListener(event, listener);
  }
}
