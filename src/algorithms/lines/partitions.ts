import type { Line, Partition, Standing, Wants } from './line.ts';

/** Sums of shares miss a whole number of slots by less than this. */
const ROUNDING = 1e-9;

/** How many of `limit` slots a share comes to: rounded up, and one at least unless there are none at all. */
export function shareOf(limit: number, share: number): number {
  return limit === 0 || share === 0 ? 0 : Math.max(1, Math.ceil(limit * share - ROUNDING));
}

/**
 * Lines side by side, one for each partition. First come those who find their own share free; then the partition that uses the least of its share, so
 * what is lent goes round (partitions of Netflix's concurrency-limits, with a line in front).
 */
export class Partitions<Entry extends Standing> implements Line<Entry> {
  /** For calls of no partition: no slot is kept for them, they get what is lent. */
  readonly rest: Partition;
  readonly all: readonly Partition[];
  readonly #lines: ReadonlyMap<Partition, Line<Entry>>;
  readonly #byName: ReadonlyMap<string, Partition>;
  #size = 0;

  constructor(shares: ReadonlyMap<string, number>, limit: number, line: () => Line<Entry>) {
    const partition = (name: string, share: number): Partition => ({ name, share, limit: shareOf(limit, share), taken: 0, waiting: 0 });
    this.rest = partition('rest', 0);
    this.#byName = new Map([...shares].map(([name, share]) => [name, partition(name, share)]));
    this.all = [...this.#byName.values()];
    this.#lines = new Map([...this.all, this.rest].map((each) => [each, line()]));
  }

  get size(): number {
    return this.#size;
  }

  get oldest(): Entry | undefined {
    return this.#first(
      (line) => line.oldest,
      (a, b) => a.since < b.since,
    );
  }

  get next(): Entry | undefined {
    return this.#turn()?.next;
  }

  get least(): Entry | undefined {
    return this.#first(
      (line) => line.least,
      (a, b) => rankOf(a) < rankOf(b),
    );
  }

  /** The partition of this name. */
  of(name: string | undefined): Partition {
    return (name === undefined ? undefined : this.#byName.get(name)) ?? this.rest;
  }

  /** There are so many slots now. */
  resize(limit: number): void {
    for (const each of this.all) each.limit = shareOf(limit, each.share);
  }

  push(entry: Entry): void {
    this.#lineOf(entry).push(entry);
    this.#count(entry, 1);
  }

  shift(): Entry | undefined {
    const entry = this.#turn()?.shift();
    if (entry !== undefined) this.#count(entry, -1);
    return entry;
  }

  remove(entry: Entry): boolean {
    if (!this.#lineOf(entry).remove(entry)) return false;
    this.#count(entry, -1);
    return true;
  }

  /** Those of its own partition: what the others get is their own, or is lent in turn. */
  ahead(wants: Wants, now: number): number {
    return (this.#lines.get(wants.partition ?? this.rest) as Line<Entry>).ahead(wants, now);
  }

  some(test: (entry: Entry) => boolean): boolean {
    for (const line of this.#lines.values()) if (line.some(test)) return true;
    return false;
  }

  /** The line whose turn it is. */
  #turn(): Line<Entry> | undefined {
    let best: Line<Entry> | undefined;
    let least = Infinity;
    for (const [partition, line] of this.#lines) {
      const { next } = line;
      if (next === undefined) continue;
      const use = partition.limit === 0 ? Number.MAX_VALUE : (partition.taken + (next.wants?.weight ?? 1)) / partition.limit;
      if (use >= least) continue;
      best = line;
      least = use;
    }
    return best;
  }

  #first(of: (line: Line<Entry>) => Entry | undefined, before: (a: Entry, b: Entry) => boolean): Entry | undefined {
    let first: Entry | undefined;
    for (const line of this.#lines.values()) {
      const entry = of(line);
      if (entry !== undefined && (first === undefined || before(entry, first))) first = entry;
    }
    return first;
  }

  #lineOf({ wants }: Entry): Line<Entry> {
    return this.#lines.get(wants?.partition ?? this.rest) as Line<Entry>;
  }

  #count({ wants }: Entry, by: 1 | -1): void {
    this.#size += by;
    (wants?.partition ?? this.rest).waiting += by;
  }
}

function rankOf({ wants }: Standing): number {
  return wants?.rank ?? 0;
}
