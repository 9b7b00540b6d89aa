/** What the caller of a request steers it with, whichever attempt it is that answers. */

import type { Controller } from './dispatching.ts';

/** A controller that stands from the dispatch to the end of the answer. */
export class Line implements Controller {
  aborted = false;
  reason: Error | null = null;
  /** Hears when the caller wants no more of the answer for now. */
  onPause: (() => void) | undefined = undefined;
  readonly #abortion = new AbortController();
  #paused = false;
  #target: Controller | undefined = undefined;

  /** Aborts when the caller wants no answer at all any more. */
  get signal(): AbortSignal {
    return this.#abortion.signal;
  }

  /** The connection that the answer comes over. */
  connect(target: Controller): void {
    this.#target = target;
    if (this.#paused) target.pause();
  }

  get paused(): boolean {
    return this.#paused;
  }

  get rawHeaders(): unknown {
    return this.#target?.rawHeaders ?? null;
  }

  get rawTrailers(): unknown {
    return this.#target?.rawTrailers ?? null;
  }

  pause(): void {
    this.#paused = true;
    this.#target?.pause();
    this.onPause?.();
  }

  resume(): void {
    this.#paused = false;
    this.#target?.resume();
  }

  abort(given?: Error): void {
    if (this.aborted) return;
    const reason = given ?? Object.assign(new Error('Request aborted'), { name: 'AbortError', code: 'UND_ERR_ABORTED' });
    this.aborted = true;
    this.reason = reason;
    this.#abortion.abort(reason);
    // An answer whose call is over hangs on nothing but its connection.
    this.#target?.abort(reason);
  }
}
