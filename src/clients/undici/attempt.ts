/** One attempt at a request: what comes back is held until the pipeline has decided about it, then handed on or let go. */

import { Alarm } from '../../core/alarm.ts';
import type { Call } from '../../core/call.ts';
import { isGentle } from '../../core/gentle.ts';
import { comesIn } from '../../core/incoming.ts';
import { type Failure, thrown } from '../../core/outcome.ts';
import { READ_OUT, WORTH_READING } from '../unwanted-rest.ts';
import type { AnswerFields, Controller, DispatchHandler } from './dispatching.ts';
import type { Line } from './line.ts';
import { Unread } from './unread.ts';

/** So much may come of an answer before the pipeline has decided, bytes. */
const MOST_HELD = 65_536;

/** A promise that is kept already: what is asked of it happens when all that was read of a connection has been told. */
const turn = Promise.resolve();

/** The request that attempts are made at. */
export interface Attempted {
  readonly handler: DispatchHandler;
  readonly line: Line;
  /** After so long an answer that nobody reads counts as over, ms. */
  readonly idle: number;
  /** Undici's interceptors tell by the context of a request what became of it. */
  inform(context: object | undefined): void;
}

/** An answer as policies see it. */
export class Answer implements Disposable {
  readonly statusCode: number;
  readonly headers: AnswerFields;
  readonly statusMessage: string | undefined;
  /** @internal */
  readonly attempt: Attempt;

  constructor(statusCode: number, headers: AnswerFields, statusMessage: string | undefined, attempt: Attempt) {
    this.statusCode = statusCode;
    this.headers = headers;
    this.statusMessage = statusMessage;
    this.attempt = attempt;
  }

  [Symbol.dispose](): void {
    this.attempt.letGo();
  }
}

/** `waiting` for an answer; `held`: there is one; `handed`: the caller gets it; `unwanted`: nobody does; `over`. */
type State = 'waiting' | 'held' | 'handed' | 'unwanted' | 'over';

/** One attempt. */
export class Attempt implements DispatchHandler {
  readonly exchange: Attempted;
  readonly #call: Call;
  readonly #resolve: (value: unknown) => void;
  readonly #reject: (error: unknown) => void;
  #state: State = 'waiting';
  #controller: Controller | undefined = undefined;
  #answer: Answer | undefined = undefined;
  /** Hears when the attempt is cut short; from its answer on, when the whole call is. */
  #watch: Call;
  /** Tells gates that the answer is there in full. */
  #end: ((failure?: Failure) => void) | undefined = undefined;
  #unread: Unread | undefined = undefined;
  /** Rings when what nobody wants takes too long. */
  #alarm: Alarm | undefined = undefined;
  /** What has come of an answer that is held. */
  readonly #chunks: Buffer[] = [];
  #bytes = 0;
  #trailers: AnswerFields | undefined = undefined;
  #broken: { readonly error: Error } | undefined = undefined;

  constructor(exchange: Attempted, call: Call, resolve: (value: unknown) => void, reject: (error: unknown) => void) {
    this.exchange = exchange;
    this.#call = call;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#watch = call.derive();
    this.#watch.waiter = this.#cut;
  }

  onRequestStart(controller: Controller, context: object): void {
    this.#controller = controller;
    const { failure } = this.#watch;
    if (failure !== undefined) controller.abort(failure.error as Error);
    else this.exchange.inform(context);
  }

  onResponseStart(controller: Controller, statusCode: number, headers: AnswerFields, statusMessage?: string): void {
    const { handler, line } = this.exchange;
    if (statusCode < 200) {
      handler.onResponseStart?.(line, statusCode, headers, statusMessage);
      return;
    }
    this.#controller = controller;
    this.#answer = new Answer(statusCode, headers, statusMessage, this);
    this.#state = 'held';
    void turn.then(this.#decide);
  }

  onResponseData(controller: Controller, chunk: Buffer): void {
    const { handler, line } = this.exchange;
    if (this.#state === 'handed') {
      handler.onResponseData?.(line, chunk);
      return;
    }
    this.#bytes += chunk.length;
    if (this.#state === 'held') {
      this.#chunks.push(chunk);
      if (this.#bytes > MOST_HELD) controller.pause();
    } else if (this.#bytes > WORTH_READING) controller.abort(unwanted());
  }

  onResponseEnd(_controller: Controller, trailers: AnswerFields): void {
    if (this.#state === 'handed') {
      this.#complete(trailers);
      return;
    }
    this.#trailers = trailers;
    this.#alarm?.clear();
  }

  onResponseError(_controller: Controller | undefined, error: Error): void {
    if (this.#state === 'waiting') this.fail(error);
    else if (this.#state === 'handed') this.#breakOff(error);
    else {
      this.#broken = { error };
      this.#alarm?.clear();
      this.#tellEnd(thrown(error));
    }
  }

  /** There will be no answer. */
  fail(error: unknown): void {
    this.#state = 'over';
    this.#call.release(this.#watch);
    this.#reject(error);
  }

  /** The pipeline has decided: the caller gets it. */
  handOn(): void {
    const { exchange } = this;
    const { handler, line } = exchange;
    const { statusCode, headers, statusMessage } = this.#answer as Answer;
    const controller = this.#controller as Controller;
    this.#state = 'handed';
    if (this.#end !== undefined && exchange.idle !== Infinity)
      this.#unread = new Unread(line, this.#call.scope.clock, exchange.idle, () => this.#tellEnd());
    if (line.aborted) {
      controller.abort(line.reason as Error);
      this.#breakOff(line.reason as Error);
      return;
    }
    try {
      line.connect(controller);
      handler.onResponseStart?.(line, statusCode, headers, statusMessage);
      for (const chunk of this.#chunks) handler.onResponseData?.(line, chunk);
      this.#chunks.length = 0;
      if (this.#broken !== undefined) this.#breakOff(this.#broken.error);
      else if (this.#trailers !== undefined) this.#complete(this.#trailers);
      else if (!line.paused && controller.paused) controller.resume();
    } catch (error) {
      this.#breakOff(error as Error);
      controller.abort(error as Error);
    }
  }

  /** The pipeline has decided: nobody gets it. */
  letGo(): void {
    if (this.#state !== 'held') return;
    this.#state = 'unwanted';
    this.#chunks.length = 0;
    this.#tellEnd();
    if (this.#trailers !== undefined || this.#broken !== undefined) return;
    const left = Number(this.#answer?.headers['content-length']) - this.#bytes;
    this.#bytes = 0;
    if (left <= WORTH_READING) this.#readOut();
    else this.#controller?.abort(unwanted());
  }

  #readOut(): void {
    const { clock } = this.#call.scope;
    const now = clock.now();
    this.#alarm = new Alarm(clock, () => this.#controller?.abort(unwanted()), true);
    this.#alarm.set(now + READ_OUT, now);
    this.#controller?.resume();
  }

  /** Everything that was read with the answer's head is there: what is short is complete, and gates need not wait for it. */
  readonly #decide = (): void => {
    const answer = this.#answer as Answer;
    this.#call.release(this.#watch);
    if (this.#trailers === undefined || this.#broken !== undefined) {
      this.#watch = this.#call.root.derive();
      this.#watch.waiter = this.#cut;
      this.#end = comesIn(this.#call, answer);
      if (this.#broken !== undefined) this.#tellEnd(thrown(this.#broken.error));
    }
    this.#resolve(answer);
  };

  /** The call is cut short, and with it whatever is under way. */
  readonly #cut = (failure: Failure): void => {
    if (this.#answer !== undefined && isGentle(failure)) {
      this.#watch.waiter = this.#cut;
      return;
    }
    this.#tellEnd(failure);
    this.#controller?.abort(failure.error as Error);
  };

  #complete(trailers: AnswerFields): void {
    const { handler, line } = this.exchange;
    try {
      handler.onResponseEnd?.(line, trailers);
      this.#state = 'over';
      this.#tellEnd();
    } catch (error) {
      this.#breakOff(error as Error);
    }
  }

  /** What the caller has of the answer is all there will be. */
  #breakOff(error: Error): void {
    const { handler, line } = this.exchange;
    this.#state = 'over';
    this.#tellEnd(thrown(error));
    handler.onResponseError?.(line, error);
  }

  #tellEnd(failure?: Failure): void {
    const end = this.#end;
    if (end === undefined) return;
    this.#end = undefined;
    this.#unread?.end();
    this.#call.root.release(this.#watch);
    end(failure);
  }
}

function unwanted(): Error {
  return new Error('Nobody wants the rest of this answer');
}
