import type { Learner } from '../../src/algorithms/limits/learner.ts';
import { sfc32 } from '../../src/algorithms/sfc32.ts';

/** How long a request takes a worker, ms, from chance in [0, 1). */
export type Service = (u: number) => number;

/** Always the same; evenly spread by so much to either side; memoryless. */
export const always =
  (ms: number): Service =>
  () =>
    ms;
export const around =
  (ms: number, part = 0.3): Service =>
  (u) =>
    ms * (1 - part + 2 * part * u);
export const exponential =
  (mean: number): Service =>
  (u) =>
    -mean * Math.log(1 - u);

/** A server of so many workers, with a queue without bound, first come, first served. Both can change while it runs. */
export class Served {
  workers: number;
  service: Service;
  readonly #random: () => number;
  /** When the workers are free, the earliest first. */
  readonly #free = new Heap();

  constructor(workers: number, service: Service, seed = 1) {
    this.workers = workers;
    this.service = service;
    this.#random = sfc32(seed);
  }

  /** When a request that comes now is done. */
  serve(now: number): number {
    const free = this.#free;
    while (free.size > this.workers) free.pop();
    const begins = free.size < this.workers ? now : Math.max(now, free.first);
    if (free.size === this.workers) free.pop();
    const done = begins + this.service(this.#random());
    free.push(done, 0);
    return done;
  }
}

/** What was seen of a drive. */
export interface Seen {
  /** The limit at the end of each second. */
  readonly path: readonly number[];
  /** Requests a second that were answered, and those in time, after the warm-up. */
  readonly throughput: number;
  /** A quantile of the round trips after the warm-up, ms. */
  readonly quantile: (p: number) => number;
}

/** How to drive. Times are ms. */
export interface Drive {
  readonly server: Served;
  /** Requests a second, as a Poisson process. */
  readonly rate: number;
  readonly until: number;
  /** Before this nothing is measured. */
  readonly warmUp?: number;
  /** Round trips that take longer are drops. */
  readonly patience?: number;
  /** What happens to the server, and when. */
  readonly changes?: readonly (readonly [at: number, change: (server: Served) => void])[];
  readonly seed?: number;
}

/**
 * Sends requests to a server as far as a limit lets them through. Those that come while it does not are refused; how long it is until the next comes has no
 * memory, so they need not be played one by one.
 */
export function drive(learner: Learner, how: Drive): Seen {
  const { server, rate, until, warmUp = 0, patience = Infinity, changes = [], seed = 2 } = how;
  const random = sfc32(seed);
  const underWay = new Heap();
  const path: number[] = [];
  const rtts: number[] = [];
  const left = [...changes];
  let now = 0;
  const finish = (): void => {
    now = underWay.first;
    const begun = underWay.pop();
    const rtt = now - begun;
    if (now >= warmUp) rtts.push(rtt);
    learner.sample(begun, underWay.size + 1, rtt > patience, now, random());
    while (now >= 1000 * (path.length + 1)) path.push(learner.allowed);
    if (left[0] !== undefined && now >= left[0][0]) left.shift()?.[1](server);
  };
  while (now < until) {
    if (underWay.size >= learner.allowed) {
      finish();
      continue;
    }
    const next = now - (1000 / rate) * Math.log(1 - random());
    while (underWay.size > 0 && underWay.first <= next) finish();
    now = next;
    if (underWay.size < learner.allowed) underWay.push(server.serve(now), now);
  }
  const sorted = Float64Array.from(rtts).sort();
  return {
    path,
    throughput: (1000 * rtts.length) / (until - warmUp),
    quantile: (p) => sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)] as number,
  };
}

/** Numbers with a companion each, smallest first. */
class Heap {
  readonly #keys: number[] = [];
  readonly #values: number[] = [];

  get size(): number {
    return this.#keys.length;
  }

  get first(): number {
    return this.#keys[0] as number;
  }

  push(key: number, value: number): void {
    const [keys, values] = [this.#keys, this.#values];
    let at = keys.length;
    keys.push(key);
    values.push(value);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if ((keys[parent] as number) <= key) break;
      keys[at] = keys[parent] as number;
      values[at] = values[parent] as number;
      at = parent;
    }
    keys[at] = key;
    values[at] = value;
  }

  /** Takes the smallest out; answers with its companion. */
  pop(): number {
    const [keys, values] = [this.#keys, this.#values];
    const answer = values[0] as number;
    const [key, value] = [keys.pop() as number, values.pop() as number];
    const size = keys.length;
    if (size === 0) return answer;
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && (keys[child + 1] as number) < (keys[child] as number)) child++;
      if ((keys[child] as number) >= key) break;
      keys[at] = keys[child] as number;
      values[at] = values[child] as number;
      at = child;
    }
    keys[at] = key;
    values[at] = value;
    return answer;
  }
}
