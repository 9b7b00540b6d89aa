/** Numbers in one block, and the fewest rows. */
const BLOCK = 2048;
const FEWEST = 8;
/** Ends the list of free rows of a block. */
const NONE = -1;

/**
 * Any number of rows of so many numbers each. They stand in blocks that come when they are needed and go when their last row is removed; new rows go to the
 * lowest block that has room, so that after a crowd the higher ones empty.
 */
export class Rows {
  readonly width: number;
  /** Rows in one block. */
  readonly #rows: number;
  readonly #blocks: (Float64Array | undefined)[] = [];
  /** For each block the first of its free rows, which are linked through the first number of each, and how many are taken. */
  readonly #free: number[] = [];
  readonly #taken: number[] = [];
  /** No block below has room. */
  #lowest = 0;
  #size = 0;

  constructor(width: number) {
    this.width = width;
    this.#rows = Math.max(FEWEST, Math.floor(BLOCK / width));
  }

  /** Rows in use. */
  get size(): number {
    return this.#size;
  }

  /** Rows that there is memory for. */
  get capacity(): number {
    return this.#blocks.reduce((sum, block) => sum + (block === undefined ? 0 : this.#rows), 0);
  }

  /** Takes a row; what stands in it is left from before. */
  add(): number {
    let number = this.#lowest;
    while (this.#blocks[number] !== undefined && this.#free[number] === NONE) number++;
    this.#lowest = number;
    const block = this.#blocks[number] ?? this.#open(number);
    const row = this.#free[number] as number;
    this.#free[number] = block[row * this.width] as number;
    this.#taken[number] = (this.#taken[number] as number) + 1;
    this.#size++;
    return number * this.#rows + row;
  }

  /** Gives a row back. */
  remove(row: number): void {
    const number = Math.floor(row / this.#rows);
    this.numbers(row)[this.offset(row)] = this.#free[number] as number;
    this.#free[number] = row % this.#rows;
    const taken = (this.#taken[number] as number) - 1;
    this.#taken[number] = taken;
    this.#size--;
    this.#lowest = Math.min(this.#lowest, number);
    if (taken === 0 && number > 0) this.#blocks[number] = undefined;
  }

  /** The numbers among which a row stands. */
  numbers(row: number): Float64Array {
    return this.#blocks[Math.floor(row / this.#rows)] as Float64Array;
  }

  /** Where among them it begins. */
  offset(row: number): number {
    return (row % this.#rows) * this.width;
  }

  #open(number: number): Float64Array {
    const block = new Float64Array(this.#rows * this.width);
    for (let row = 0; row < this.#rows; row++) block[row * this.width] = row + 1 < this.#rows ? row + 1 : NONE;
    this.#blocks[number] = block;
    this.#free[number] = 0;
    this.#taken[number] = 0;
    return block;
  }
}
