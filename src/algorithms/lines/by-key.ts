import type { Line, Standing, Wants } from './line.ts';

/**
 * A line for each key, served in turn: whoever sends much waits in its own line and holds up nobody else (round robin; Nagle, "On Packet Switches with
 * Infinite Storage", RFC 970, 1985). Only keys of which somebody waits are kept, and those without a key stand in one line together.
 */
export class ByKey<Entry extends Standing> implements Line<Entry> {
  /** In the order of their turns. */
  readonly #lines = new Map<string | undefined, Line<Entry>>();
  readonly #line: () => Line<Entry>;
  #size = 0;

  constructor(line: () => Line<Entry>) {
    this.#line = line;
  }

  get size(): number {
    return this.#size;
  }

  /** Keys of which somebody waits. */
  get keys(): number {
    return this.#lines.size;
  }

  get oldest(): Entry | undefined {
    let oldest: Entry | undefined;
    for (const line of this.#lines.values()) {
      const entry = line.oldest as Entry;
      if (oldest === undefined || entry.since < oldest.since) oldest = entry;
    }
    return oldest;
  }

  get next(): Entry | undefined {
    for (const line of this.#lines.values()) return line.next;
    return undefined;
  }

  get least(): Entry | undefined {
    let least: Entry | undefined;
    for (const line of this.#lines.values()) {
      const entry = line.least;
      if (entry !== undefined && (least === undefined || rankOf(entry) < rankOf(least))) least = entry;
    }
    return least;
  }

  push(entry: Entry): void {
    const key = entry.wants?.key;
    let line = this.#lines.get(key);
    if (line === undefined) this.#lines.set(key, (line = this.#line()));
    line.push(entry);
    this.#size++;
  }

  shift(): Entry | undefined {
    for (const [key, line] of this.#lines) {
      this.#lines.delete(key);
      const entry = line.shift();
      if (line.size > 0) this.#lines.set(key, line);
      this.#size--;
      return entry;
    }
    return undefined;
  }

  remove(entry: Entry): boolean {
    const key = entry.wants?.key;
    const line = this.#lines.get(key);
    if (line?.remove(entry) !== true) return false;
    if (line.size === 0) this.#lines.delete(key);
    this.#size--;
    return true;
  }

  /** Those of its own key, and of each other key as many as have their turn meanwhile. */
  ahead(wants: Wants, now: number): number {
    const own = this.#lines.get(wants.key);
    const before = own?.ahead(wants, now) ?? 0;
    let count = before;
    for (const line of this.#lines.values()) if (line !== own) count += Math.min(line.size, before + 1);
    return count;
  }

  some(test: (entry: Entry) => boolean): boolean {
    for (const line of this.#lines.values()) if (line.some(test)) return true;
    return false;
  }
}

function rankOf({ wants }: Standing): number {
  return wants?.rank ?? 0;
}
