import type { Standing } from './circuit-state.ts';

/** Who keeps a circuit isolated, and where it stands beneath. */
export class Isolations {
  /** What the circuit goes back to. */
  beneath: Standing = 'closed';
  /** Reasons of the isolations that hold, by their tokens. */
  readonly #reasons = new Map<object, string | undefined>();

  /** Whether anybody keeps it isolated. */
  get hold(): boolean {
    return this.#reasons.size > 0;
  }

  /** Why, if somebody said so: the latest reason that still holds. */
  get reason(): string | undefined {
    return [...this.#reasons.values()].findLast((reason) => reason !== undefined);
  }

  add(token: object, reason: string | undefined): void {
    this.#reasons.set(token, reason);
  }

  /** Lets go; true if that was the last one. */
  remove(token: object): boolean {
    return this.#reasons.delete(token) && !this.hold;
  }

  clear(): void {
    this.#reasons.clear();
  }
}
