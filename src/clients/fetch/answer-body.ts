import type { ReadableByteStreamController, UnderlyingByteSource } from 'node:stream/web';
import { Alarm } from '../../core/alarm.ts';
import type { Call } from '../../core/call.ts';
import { isGentle } from '../../core/gentle.ts';
import { type Failure, thrown } from '../../core/outcome.ts';
import { phaseOver } from '../phase-timeout.ts';
import { READ_OUT, WORTH_READING } from '../unwanted-rest.ts';

/** Who wants to know when a body is over: with a failure if it broke off. */
export type BodyEnd = (failure?: Failure) => void;

/**
 * The body of an answer on its way to whoever reads it. It is over when it has been read, cancelled or has broken off, and broken off by the end of its call: the caller's abort, the
 * deadline, the end of the pipeline. So it is when somebody waits for a chunk for too long; when nobody asks for one for as long, it counts as over and can still be read.
 */
export class AnswerBody implements UnderlyingByteSource {
  readonly type = 'bytes';
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  /** What the transport runs as: cutting it aborts the transport's signal. */
  readonly #exchange: Call;
  /** Hears of the end of the whole call; the exchange may have been let go by whoever made the attempt. */
  readonly #watch: Call;
  readonly #idle: number;
  readonly #alarm: Alarm;
  readonly #signal: AbortSignal | undefined;
  #left: number;
  #end: BodyEnd | undefined = undefined;
  #controller: ReadableByteStreamController | undefined = undefined;
  /** Whether somebody waits for a chunk. */
  #awaited = false;
  #since: number;
  #closed = false;
  #cancelled = false;
  /** What cut it short. */
  #failure: Failure | undefined = undefined;

  /** `idle`: ms between chunks; `length`: bytes, `NaN` if unknown; `signal`: the caller's. */
  constructor(body: ReadableStream<Uint8Array>, exchange: Call, idle: number, length: number, signal: AbortSignal | undefined) {
    this.#reader = body.getReader();
    this.#exchange = exchange;
    this.#idle = idle;
    this.#left = length;
    this.#signal = signal;
    this.#watch = exchange.root.derive();
    this.#follow();
    this.#since = this.#now();
    this.#alarm = new Alarm(exchange.scope.clock, (now, stalled) => this.#ring(now, stalled), true);
    this.#alarm.set(this.#since + idle, this.#since);
  }

  /** Tells when it is over, once. */
  onEnd(end: BodyEnd): void {
    this.#end = end;
  }

  start(controller: ReadableByteStreamController): void {
    this.#controller = controller;
  }

  async pull(controller: ReadableByteStreamController): Promise<void> {
    const chunk = await this.next();
    if (chunk !== undefined) controller.enqueue(transferable(chunk));
    else if (!this.#cancelled) {
      controller.close();
      controller.byobRequest?.respond(0);
    }
  }

  /** The next chunk, which is never empty; nothing at the end. Rejects with what it broke off with. */
  async next(): Promise<Uint8Array | undefined> {
    this.#awaited = true;
    this.#since = this.#now();
    this.#alarm.set(this.#since + this.#idle, this.#since);
    try {
      for (;;) {
        const { done, value } = await this.#reader.read();
        if (this.#failure !== undefined) throw this.#failure.error;
        if (done) {
          this.#finish();
          return undefined;
        }
        if (value.byteLength === 0) continue;
        this.#left -= value.byteLength;
        this.#since = this.#now();
        return value;
      }
    } catch (error) {
      if (!this.#closed) this.#finish(thrown(error));
      throw error;
    } finally {
      this.#awaited = false;
    }
  }

  async cancel(reason: unknown): Promise<void> {
    this.#cancelled = true;
    this.#finish();
    if (this.#left <= WORTH_READING) await this.#readOut(reason);
    else await this.#reader.cancel(reason);
  }

  /** Reads what is left and forgets it. */
  async #readOut(reason: unknown): Promise<void> {
    const { clock } = this.#exchange.scope;
    const stop = (): void => void this.#reader.cancel(reason).catch(() => undefined);
    const alarm = new Alarm(clock, stop, true);
    const now = clock.now();
    alarm.set(now + READ_OUT, now);
    try {
      for (;;) {
        const { done, value } = await this.#reader.read();
        if (done) return;
        this.#left -= value.byteLength;
        // More than it said that it would be.
        if (this.#left < 0) stop();
      }
    } catch {
      // It broke off, which is what was asked for.
    } finally {
      alarm.clear();
    }
  }

  /** The call is cut: so is what it reads, at once and whatever the transport makes of its signal. */
  #cut(failure: Failure): void {
    if (this.#closed) return;
    const { error } = failure;
    this.#failure = failure;
    this.#finish(failure);
    this.#controller?.error(error);
    this.#exchange.cut(failure);
    void this.#reader.cancel(error).catch(() => undefined);
  }

  #follow(): void {
    this.#watch.waiter = (failure) => {
      if (isGentle(failure)) this.#follow();
      else this.#cut(failure);
    };
  }

  #ring(now: number, stalled: boolean): void {
    const due = this.#since + this.#idle;
    if (due > now) this.#alarm.set(due, now);
    else if (this.#awaited) this.#cut(phaseOver(this.#exchange, 'body-idle', this.#idle, stalled));
    else this.#letGo();
  }

  /** Nobody reads: gates get back what they gave. */
  #letGo(): void {
    this.#tellEnd(undefined);
    this.#signal?.addEventListener('abort', this.#aborted);
  }

  /** The caller's abort, after the call is over. */
  readonly #aborted = (): void => {
    this.#cut(thrown((this.#signal as AbortSignal).reason));
  };

  /** There will be no more of it. */
  #finish(failure?: Failure): void {
    this.#closed = true;
    this.#alarm.clear();
    this.#signal?.removeEventListener('abort', this.#aborted);
    this.#tellEnd(failure);
  }

  #tellEnd(failure: Failure | undefined): void {
    const end = this.#end;
    if (end === undefined) return;
    this.#end = undefined;
    const { root, parent } = this.#exchange;
    root.release(this.#watch);
    parent?.release(this.#exchange);
    end(failure);
  }

  #now(): number {
    return this.#exchange.scope.clock.now();
  }
}

/** A byte stream takes a chunk's memory away from it: of a part of something larger it gets a copy. */
function transferable(chunk: Uint8Array): Uint8Array<ArrayBuffer> {
  const own = chunk.byteLength === chunk.buffer.byteLength && chunk.buffer instanceof ArrayBuffer;
  return own ? (chunk as Uint8Array<ArrayBuffer>) : chunk.slice();
}
