import { type Bulkhead, type BulkheadOptions, type CallOptions, bulkhead } from 'breakwater';
import { type Arranged, arrange } from 'breakwater/testing';

/** One call after another, each ended by hand. */
export class Crowd {
  /** Calls in the order in which their work began. */
  readonly started: number[] = [];
  readonly #endings = new Map<number, (error?: unknown) => void>();
  readonly #execute: (work: () => Promise<number>, options?: CallOptions) => Promise<number>;

  constructor(execute: (work: () => Promise<number>, options?: CallOptions) => Promise<number>) {
    this.#execute = execute;
  }

  /** A call that runs until told to end. */
  come(id: number, options?: CallOptions): Promise<number> {
    const done = this.#execute(
      () =>
        new Promise((resolve, reject) => {
          this.started.push(id);
          this.#endings.set(id, (error) => (error === undefined ? resolve(id) : reject(error)));
        }),
      options,
    );
    done.catch(() => undefined);
    return done;
  }

  /** Ends the work of a call, with an error if one is given. */
  end(id: number, error?: unknown): void {
    (this.#endings.get(id) as (error?: unknown) => void)(error);
  }
}

/** A bulkhead in a pipeline, and callers for it. */
export interface Crowded extends Arranged<readonly [Bulkhead]> {
  readonly slots: Bulkhead;
  readonly crowd: Crowd;
  /** Ends the works of these calls, one after the other, and whatever follows from it. */
  readonly end: (...ids: readonly number[]) => Promise<void>;
}

export function arranged(options: BulkheadOptions): Crowded {
  const all = arrange(bulkhead(options), { name: 'shop' });
  const crowd = new Crowd((work, how) => all.run(work, how));
  const end = async (...ids: readonly number[]): Promise<void> => {
    for (const id of ids) {
      crowd.end(id);
      await all.clock.advance(0);
    }
  };
  return { ...all, slots: all.policy, crowd, end };
}
