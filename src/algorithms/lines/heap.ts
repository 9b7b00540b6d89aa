/** A binary heap whose items know where they stand, so that any of them can be taken out in logarithmic time. */
export class Heap<Item> {
  /** The items; the first is the top, the others stand in no order to rely on. */
  readonly items: readonly Item[];
  readonly #items: Item[] = [];
  readonly #before: (a: Item, b: Item) => boolean;
  readonly #note: (item: Item, at: number) => void;

  /** `note` is told where an item stands, whenever that changes. */
  constructor(before: (a: Item, b: Item) => boolean, note: (item: Item, at: number) => void) {
    this.items = this.#items;
    this.#before = before;
    this.#note = note;
  }

  get size(): number {
    return this.#items.length;
  }

  get top(): Item | undefined {
    return this.#items[0];
  }

  add(item: Item): void {
    this.#rise(item, this.#items.length);
  }

  /** Takes out the item that stands there. */
  removeAt(at: number): void {
    const last = this.#items.pop() as Item;
    if (at === this.#items.length) return;
    const parent = (at - 1) >> 1;
    if (at > 0 && this.#before(last, this.#items[parent] as Item)) this.#rise(last, at);
    else this.#sink(last, at);
  }

  #rise(item: Item, from: number): void {
    let at = from;
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = this.#items[up] as Item;
      if (!this.#before(item, parent)) break;
      this.#put(parent, at);
      at = up;
    }
    this.#put(item, at);
  }

  #sink(item: Item, from: number): void {
    const { length } = this.#items;
    let at = from;
    for (let down = 2 * at + 1; down < length; down = 2 * at + 1) {
      if (down + 1 < length && this.#before(this.#items[down + 1] as Item, this.#items[down] as Item)) down++;
      const child = this.#items[down] as Item;
      if (!this.#before(child, item)) break;
      this.#put(child, at);
      at = down;
    }
    this.#put(item, at);
  }

  #put(item: Item, at: number): void {
    this.#items[at] = item;
    this.#note(item, at);
  }
}
