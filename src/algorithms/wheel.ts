/**
 * The latest few of equal stretches of time, aligned to time 0; the oldest leaves whole. Every stretch that has passed is cleared before anything is written or read,
 * however long nothing happened. A clock that steps back loses nothing: what comes meanwhile is counted in the newest stretch.
 */
export abstract class Wheel {
  /** Length of a stretch, ms. */
  readonly width: number;
  /** How many are kept. */
  protected readonly size: number;
  /** When the newest ends, ms: until then nothing leaves. */
  end: number = -Infinity;
  /** Its number since time 0, and its place among those that are kept. */
  protected newest: number = -Infinity;
  protected slot = 0;

  constructor(width: number, size: number) {
    this.width = width;
    this.size = size;
  }

  /** Forgets what is too old at `now`. To be called before reading; writing does it by itself. */
  expire(now: number): void {
    if (now < this.end) return;
    const number = Math.floor(now / this.width);
    const passed = number - this.newest;
    if (passed >= this.size) {
      this.clear();
    } else {
      for (let i = 0; i < passed; i++) {
        this.slot = (this.slot + 1) % this.size;
        this.empty(this.slot);
      }
    }
    this.newest = number;
    this.end = (number + 1) * this.width;
  }

  /** Forgets everything. */
  abstract clear(): void;

  /** Forgets what stands in this place. */
  protected abstract empty(slot: number): void;

  /** The place of the stretch with this number; `undefined` once it has left. One that is still to come is the newest. */
  protected placeOf(number: number): number | undefined {
    const back = Math.max(0, this.newest - number);
    return back < this.size ? (this.slot + this.size - back) % this.size : undefined;
  }
}
