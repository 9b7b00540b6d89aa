/**
 * A fixed number of places that ids are spread over by a hash. Ids that meet at one place share what stands there; which ones do, nobody can
 * predict without the seed.
 */
export class Places<Value> {
  readonly #values: (Value | undefined)[] = [];
  readonly #count: number;
  readonly #seed: number;
  #taken = 0;

  constructor(count: number, seed: number) {
    this.#count = count;
    this.#seed = seed;
  }

  /** How many places are taken. */
  get taken(): number {
    return this.#taken;
  }

  /** What stands at the place of this id. */
  get(id: string): Value | undefined {
    return this.#taken === 0 ? undefined : this.#values[this.#placeOf(id)];
  }

  /** Puts something there, or with `undefined` clears the place. */
  set(id: string, value: Value | undefined): void {
    if (value === undefined && this.#taken === 0) return;
    const place = this.#placeOf(id);
    this.#taken += Number(value !== undefined) - Number(this.#values[place] !== undefined);
    this.#values[place] = value;
  }

  #placeOf(id: string): number {
    return hashOf(id, this.#seed) % this.#count;
  }
}

/** A 32-bit hash. Every UTF-16 unit counts, so lone surrogates differ. Mixing after Appleby, MurmurHash3. */
export function hashOf(text: string, seed: number): number {
  let hash = seed | 0;
  for (let i = 0; i < text.length; i++) {
    const unit = Math.imul(text.charCodeAt(i), 0xcc9e2d51);
    hash ^= Math.imul((unit << 15) | (unit >>> 17), 0x1b873593);
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0;
  }
  hash ^= text.length;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
