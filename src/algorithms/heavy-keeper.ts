import { hashOf } from './places.ts';
import { sfc32 } from './sfc32.ts';

/** How much less likely, with each call that a place has counted, it is that another id there takes one away. */
const base = 1.08;
/** Chances to take one away from so many; beyond, there is none to speak of. */
const decay: Float64Array = Float64Array.from({ length: 256 }, (_, count) => base ** -count);
const rows = 2;

/** Where an id is counted: two hashes that nobody can predict without the seed. */
export interface Trace {
  readonly place: number;
  readonly print: number;
}

/**
 * Estimates how often ids came, in memory that does not grow with their number: each of two rows has a place for the id, which counts one of those that meet
 * there; the others wear its count away, and the less easily the more it has counted. What comes often stays, what comes seldom is soon replaced.
 *
 * An estimate is never above the true count, but by chance: two ids in one place with one print, 1 in 2^32 for each pair there. How far it is below depends on
 * what else is about; for an id that comes often, hardly.
 *
 * After Gong et al., "HeavyKeeper: An Accurate Algorithm for Finding Top-k Elephant Flows", USENIX ATC 2018.
 */
export class HeavyKeeper {
  readonly #mask: number;
  readonly #seed: number;
  readonly #random: () => number;
  readonly #prints: Uint32Array;
  readonly #counts: Uint32Array;

  /** @param width - places in a row, a power of two */
  constructor(width: number, seed: number) {
    this.#mask = width - 1;
    this.#seed = seed;
    this.#random = sfc32(seed);
    this.#prints = new Uint32Array(rows * width);
    this.#counts = new Uint32Array(rows * width);
  }

  /** Where to count an id. */
  trace(id: string | bigint): Trace {
    const [text, seed] = typeof id === 'string' ? [id, this.#seed] : [id.toString(36), ~this.#seed];
    return { place: hashOf(text, seed), print: hashOf(text, seed ^ 0x5bd1e995) };
  }

  /** Counts one; answers with how often the id came, as far as is known. */
  add(trace: Trace): number {
    let most = 0;
    for (let row = 0; row < rows; row++) {
      const at = this.#at(trace, row);
      const count = this.#counts[at] as number;
      if (count > 0 && this.#prints[at] === trace.print) most = Math.max(most, (this.#counts[at] = count + 1));
      else if (count === 0 || this.#wears(count)) {
        // What has nothing left makes room.
        const taken = count <= 1;
        if (taken) this.#prints[at] = trace.print;
        this.#counts[at] = taken ? 1 : count - 1;
        if (taken) most = Math.max(most, 1);
      }
    }
    return most;
  }

  /** Takes one back that was counted. */
  remove(trace: Trace): void {
    for (let row = 0; row < rows; row++) {
      const at = this.#at(trace, row);
      if (this.#prints[at] === trace.print && (this.#counts[at] as number) > 0) (this.#counts[at] as number)--;
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.#prints.fill(0);
    this.#counts.fill(0);
  }

  #at({ place, print }: Trace, row: number): number {
    return row * (this.#mask + 1) + (((place + Math.imul(row, print | 1)) >>> 0) & this.#mask);
  }

  #wears(count: number): boolean {
    return count < decay.length && this.#random() < (decay[count] as number);
  }
}
