/** The rest of an application at work on one request, and the answer that takes the place of its own when its time is up. */
export class Serving {
  /** All that runs behind the guard, once it runs. */
  rest: Promise<unknown> | undefined = undefined;
  /** Whether that has come to its end. */
  over = false;
  readonly #own: Promise<boolean>;
  #resolve!: (own: boolean | Promise<boolean>) => void;
  #reject!: (error: unknown) => void;

  constructor() {
    this.#own = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /**
   * Waits for whichever answer is given, and says whether it is the application's own. Rejects with what keeps that one from being given: the other may fail, and nobody
   * asks any more.
   */
  through(rest: Promise<unknown>): Promise<boolean> {
    // Whoever goes on twice hears from the framework that this cannot be.
    if (this.rest !== undefined) return rest.then(() => true);
    this.rest = rest;
    const served = (): void => {
      this.over = true;
      this.#resolve(true);
    };
    const failed = (error: unknown): void => {
      this.over = true;
      this.#reject(error);
    };
    rest.then(served, failed);
    return this.#own;
  }

  /** From here on this answer counts, though it is not there yet. */
  replace(answering: Promise<void>): void {
    this.#resolve(answering.then(() => false));
    this.#own.catch(() => undefined);
  }
}
