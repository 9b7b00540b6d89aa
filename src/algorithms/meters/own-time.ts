import { LATENESS, leeway } from './meter.ts';

/**
 * Time as a meter tells it: it is 0 when the meter begins, and never goes back. A clock that is set back, or a new one, stands still for it and
 * goes on from there; a reading that is merely stale counts as the present. Readings that nobody takes anything at leave no mark.
 */
export abstract class OwnTime {
  /** The latest time at which something was taken, own time, ms. */
  protected at = 0;
  /** From the clock to own time, ms. */
  #offset = 0;

  begin(now: number): void {
    this.#offset = this.at - now;
  }

  /** The present in own time. */
  protected present(now: number): number {
    const time = now + this.#offset;
    if (time >= this.at) return time;
    if (this.at - time > LATENESS) this.#offset = this.at - now;
    return this.at;
  }

  /** How exactly own time can be told, ms. */
  protected slack(now: number): number {
    return leeway(Math.abs(now) + this.at);
  }

  /** Another meter's time is told like this one's. */
  protected tellLike(other: OwnTime): void {
    this.at = other.at;
    this.#offset = other.#offset;
  }

  /** Writes the time down as two numbers. */
  protected saveTime(to: Float64Array, at: number): void {
    to[at] = this.at;
    to[at + 1] = this.#offset;
  }

  protected loadTime(from: Float64Array, at: number): void {
    this.at = from[at] as number;
    this.#offset = from[at + 1] as number;
  }
}
