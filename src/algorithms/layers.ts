/** Some features' levels that somebody ordered together, until a time. */
export interface Layer {
  /** Only one layer of a name lies in the stack. */
  readonly name: string;
  /** What it orders: 0 is full, more is less. */
  readonly levels: ReadonlyMap<string, number>;
  /** When it lapses, ms; `Infinity` if never. */
  readonly until: number;
}

/**
 * Orders in a stack, the latest on top. What counts for a feature is the topmost layer that names it, so taking any layer out leaves
 * exactly what the others say, in whatever order they came and go.
 */
export class Layers<L extends Layer> {
  #layers: readonly L[] = [];
  /** When the next one lapses, ms. */
  next: number = Infinity;

  /** Puts a layer on top; one of the same name leaves. */
  put(layer: L): void {
    this.#keep([...this.#layers.filter(({ name }) => name !== layer.name), layer]);
  }

  /** Takes a layer out, wherever it lies. */
  remove(name: string): L | undefined {
    const found = this.get(name);
    if (found !== undefined) this.#keep(this.#layers.filter((layer) => layer !== found));
    return found;
  }

  /** Takes out the first layer that has lapsed at `now`, if there is one. */
  lapse(now: number): L | undefined {
    if (now < this.next) return undefined;
    const due = this.#layers.find(({ until }) => until === this.next);
    return due === undefined ? undefined : this.remove(due.name);
  }

  get(name: string): L | undefined {
    return this.#layers.find((layer) => layer.name === name);
  }

  /** The layer that counts for a feature. */
  deciding(feature: string): L | undefined {
    return this.#layers.findLast(({ levels }) => levels.has(feature));
  }

  /** All of them, the latest last. */
  all(): readonly L[] {
    return this.#layers;
  }

  #keep(layers: readonly L[]): void {
    this.#layers = layers;
    this.next = layers.reduce((first, { until }) => Math.min(first, until), Infinity);
  }
}
