/** Half-open: a few calls are let through to find out whether it works again. Pure: time comes in as `now`, in ms. */

import { Deadlines, type Expiring } from './deadlines.ts';
import { Pass } from './pass.ts';

/** How a circuit is tried out. `Time` is what a length of time is given as: ms, once read. */
export interface ProbeSettings<Time = number> {
  /** Probes that are judged in one round. @defaultValue `3` */
  readonly calls: number;
  /** Probes under way at the same time. @defaultValue `3` */
  readonly concurrency: number;
  /** Share of the round's probes that must succeed to close, 0 to 1. A slow probe (see `slowCall`) is no success. @defaultValue `1` */
  readonly successRate: number;
  /** A probe that takes longer counts as failed and gives up its place; its result is late. @defaultValue `'30s'` */
  readonly probeTimeout: Time;
  /** A round that has not been decided after this time ends as `onExpire` says. @defaultValue `Infinity` */
  readonly maxDuration: Time;
  /** What becomes of the circuit when a round ends without a decision. @defaultValue `'open'` */
  readonly onExpire: 'open' | 'close';
  /** Whether a round ends as soon as its result is certain (`early`), or when all its probes have ended. @defaultValue `'early'` */
  readonly decide: 'early' | 'all';
}

/** A call admitted to try the circuit out, on a lease: after `due` its place is taken from it. */
export class Probe extends Pass implements Expiring {
  due: number;
  before: Expiring | undefined = undefined;
  after: Expiring | undefined = undefined;
  listed = false;

  constructor(epoch: number, at: number, due: number) {
    super(epoch, at);
    this.due = due;
  }
}

/** One round of probes, from becoming half-open until the decision. Places, not results, are counted at the door. */
export class ProbeRound {
  readonly #settings: ProbeSettings;
  readonly #leases = new Deadlines<Probe>();
  /** Successes that close the circuit. */
  readonly #needed: number;
  /** When the round ends without a decision. */
  until: number;
  admitted = 0;
  succeeded = 0;
  failed = 0;
  slow = 0;
  slowFailures = 0;
  ignored = 0;
  /** Probes without a judgement since the last one with. */
  #idle = 0;

  constructor(settings: ProbeSettings, now: number) {
    this.#settings = settings;
    this.#needed = Math.max(1, Math.ceil(settings.successRate * settings.calls - 1e-9));
    this.until = now + settings.maxDuration;
  }

  /** Probes judged. */
  get calls(): number {
    return this.succeeded + this.failed;
  }

  get failures(): number {
    return this.failed;
  }

  /** Probes under way. */
  get inFlight(): number {
    return this.#leases.size;
  }

  /** When the oldest lease ends; `Infinity` if no probe is under way. */
  get nextDue(): number {
    return this.#leases.next;
  }

  /** Whether there is a place for one more probe. */
  get hasPlace(): boolean {
    const { calls, concurrency } = this.#settings;
    const { size } = this.#leases;
    return size < concurrency && size + this.calls < calls;
  }

  /** Admits a probe if there is a place for it. */
  enter(epoch: number, now: number): Probe | undefined {
    if (!this.hasPlace) return undefined;
    const probe = new Probe(epoch, now, now + this.#settings.probeTimeout);
    this.#leases.add(probe);
    this.admitted++;
    return probe;
  }

  /** Takes back a probe's place; false if its lease had ended before. */
  leave(pass: Pass): boolean {
    return pass instanceof Probe && this.#leases.remove(pass);
  }

  /** Counts a judged probe. A slow one does not show that it works again. */
  count(failed: boolean, slow: boolean): void {
    this.#idle = 0;
    if (failed || slow) this.failed++;
    else this.succeeded++;
    if (slow) this.slow++;
    if (slow && failed) this.slowFailures++;
  }

  /** Counts a probe that came back without a judgement; true once so many did in a row that the round is starving. */
  discount(): boolean {
    this.ignored++;
    return ++this.#idle === 10 * this.#settings.calls;
  }

  /** Takes the places of probes whose leases ended by `now` and counts them as failed; answers with their number. */
  expire(now: number): number {
    const before = this.failed;
    this.#leases.expire(now, () => this.count(true, false));
    return this.failed - before;
  }

  /** What the results so far say; `undefined` while it is open. */
  get decision(): 'close' | 'open' | undefined {
    const { calls, decide } = this.#settings;
    if (decide === 'all' && this.calls < calls) return undefined;
    if (this.succeeded >= this.#needed) return 'close';
    return this.failed > calls - this.#needed ? 'open' : undefined;
  }
}
