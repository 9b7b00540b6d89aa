import type { Call } from './call.ts';
import { discard } from './disposal.ts';
import { type Outcome, isFailure, thrown } from './outcome.ts';

/** Work that a timeout or an abort left behind and that still runs, or an answer that is still coming in: who wants to know when it ends. */
export type Leftover = (() => void)[];

/** What calls left behind, and who waits for the end of it. */
export class Leftovers {
  readonly #running = new Set<Leftover>();
  /** Of these, answers that are still coming in. */
  #incoming: Set<Leftover> | undefined = undefined;

  add(leftover: Leftover, incoming = false): void {
    this.#running.add(leftover);
    if (incoming) (this.#incoming ??= new Set()).add(leftover);
  }

  delete(leftover: Leftover): void {
    this.#running.delete(leftover);
    this.#incoming?.delete(leftover);
  }

  /** Runs `then` once nothing is left, or of answers that are coming in nothing; answers false (and forgets `then`) if nothing is. */
  whenQuiet(then: () => void, incoming: boolean): boolean {
    const waited = incoming ? this.#incoming : this.#running;
    if (waited === undefined) return false;
    let count = waited.size;
    const ended = (): void => {
      if (--count === 0) then();
    };
    for (const leftover of waited) leftover.push(ended);
    return waited.size > 0;
  }
}

/**
 * Leaves running work behind. It still holds what `until: 'work'` gates gave it; its late outcome is told to the nearest that wants it, reported, and never
 * counted; a late value that nobody wants is released.
 */
export function abandon(call: Call, work: Promise<unknown>): void {
  const { scope, attempt } = call;
  const leftover: Leftover = [];
  for (let one: Call | undefined = call; one !== undefined; one = one.parent) (one.leftovers ??= new Leftovers()).add(leftover);
  const ended = (outcome: Outcome): void => {
    for (let one: Call | undefined = call; one !== undefined; one = one.parent) one.leftovers?.delete(leftover);
    for (const tell of leftover) tell();
    let taker: Call | undefined = call;
    while (taker !== undefined && taker.onLate === undefined) taker = taker.parent;
    if (taker?.onLate !== undefined) taker.onLate(outcome);
    else if (!isFailure(outcome)) discard(outcome);
    if (scope.listening && !heeds(outcome, call)) scope.emit('pipeline.late', 'warn', call, { attempt, ok: !isFailure(outcome) });
  };
  work.then(ended, (error: unknown) => ended(thrown(error)));
}

/** Whether work that was told to stop did: it ended with what its signal said, or as aborted things do. */
function heeds(outcome: Outcome, { failure }: Call): boolean {
  if (!isFailure(outcome)) return false;
  if (outcome.error === failure?.error) return true;
  return outcome.error instanceof Error && outcome.error.name === 'AbortError';
}
