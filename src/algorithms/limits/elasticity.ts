/**
 * How round-trip times answer to load: by how many percent they change where the load changes by one percent. 0: they do not, so nothing queues. 1: they change as
 * much as the load does, so throughput stays what it is and all that is added waits (Little's law). The slope of a line through logarithms.
 */
export class Elasticity {
  readonly #loads: number[] = [];
  readonly #times: number[] = [];
  /** The slope, and its standard error; `NaN` as long as there are too few points, or all with the same load. */
  slope: number = NaN;
  error: number = NaN;

  get size(): number {
    return this.#loads.length;
  }

  /** Takes a point in, and forgets all but the last `keep`. */
  add(load: number, rtt: number, keep: number): void {
    this.#loads.push(Math.log(load));
    this.#times.push(Math.log(rtt));
    this.#loads.splice(0, this.#loads.length - keep);
    this.#times.splice(0, this.#times.length - keep);
    this.#fit();
  }

  #fit(): void {
    const n = this.#loads.length;
    const x = this.#loads.reduce((sum, each) => sum + each, 0) / n;
    const y = this.#times.reduce((sum, each) => sum + each, 0) / n;
    let [xx, xy, yy] = [0, 0, 0];
    for (let i = 0; i < n; i++) {
      const [dx, dy] = [(this.#loads[i] as number) - x, (this.#times[i] as number) - y];
      xx += dx * dx;
      xy += dx * dy;
      yy += dy * dy;
    }
    this.slope = n < 3 || xx === 0 ? NaN : xy / xx;
    this.error = Math.sqrt(Math.max(0, yy - this.slope * xy) / (n - 2) / xx);
  }
}
