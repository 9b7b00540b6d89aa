/** What to do once it is known how something ended. */
type Then = ((value: unknown) => unknown) | null | undefined;

/**
 * What opossum gets as the promise of the work. It is settled by hand, and what hangs on it runs at once and not some turns later: when the caller is answered, the breaker has
 * counted.
 */
export class Told implements PromiseLike<unknown> {
  #state: 'open' | 'kept' | 'broken' = 'open';
  #value: unknown = undefined;
  #reactions: (() => void)[] = [];

  keep(value: unknown): void {
    this.#settle('kept', value);
  }

  break(error: unknown): void {
    this.#settle('broken', error);
  }

  /** As that of a promise, but for the time at which it runs. */
  then(onKept?: Then, onBroken?: Then): never {
    const next = new Told();
    const react = (): void => {
      const handler = this.#state === 'kept' ? onKept : onBroken;
      try {
        if (typeof handler === 'function') next.keep(handler(this.#value));
        else next.#settle(this.#state, this.#value);
      } catch (error) {
        next.break(error);
      }
    };
    if (this.#state === 'open') this.#reactions.push(react);
    else react();
    return next as never;
  }

  catch(onBroken: Then): Told {
    return this.then(undefined, onBroken);
  }

  #settle(state: 'open' | 'kept' | 'broken', value: unknown): void {
    if (this.#state !== 'open') return;
    this.#state = state;
    this.#value = value;
    for (const react of this.#reactions.splice(0)) react();
  }
}
