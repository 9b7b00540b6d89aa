/** A guard's eye on the process: when the monitor is asked, and at which level the guard stands. */

import { Audience } from '../../core/audience.ts';
import type { Clock } from '../../core/clock.ts';
import type { Scope } from '../../core/scope.ts';
import type { SystemMonitor } from '../../stores/system/readings.ts';
import type { Pressure } from './pressure.ts';
import type { Stages, SystemGuardLevel } from './stages.ts';

/** One for each guard. It sets no timer: it looks when a call comes, or when somebody asks. */
export class Watch {
  readonly audience: Audience = new Audience();
  readonly #pressure: Pressure;
  readonly #stages: Stages;
  readonly #every: number;
  /** What to ask, for guards on this clock. */
  readonly #monitor: (clock: Clock) => SystemMonitor;
  /** The clock of the pipeline that was used first. */
  #clock: Clock | undefined = undefined;
  #sampled = -Infinity;
  #next = -Infinity;
  #level: SystemGuardLevel = 'calm';
  /** The level is no higher below this load. */
  #rises: number;

  constructor(pressure: Pressure, stages: Stages, every: number, monitor: (clock: Clock) => SystemMonitor) {
    this.#pressure = pressure;
    this.#stages = stages;
    this.#every = every;
    this.#monitor = monitor;
    this.#rises = stages.first;
  }

  /** The present; `undefined` before the first call. */
  get now(): number | undefined {
    return this.#clock?.now();
  }

  get level(): SystemGuardLevel {
    const { now } = this;
    if (now !== undefined) this.assess(now);
    return this.#level;
  }

  /** The load, whatever is done about it. */
  get load(): number {
    const { now } = this;
    if (now === undefined) return 0;
    this.assess(now);
    return this.#pressure.load(now);
  }

  /** The guard's own time, where a pipeline's clock says `now`. */
  timeOf({ clock }: Scope, now: number): number {
    this.#clock ??= clock;
    return clock === this.#clock ? now : this.#clock.now();
  }

  /** The load that counts. */
  assess(now: number): number {
    if (now >= this.#next || now < this.#sampled) this.#sample(now);
    const load = this.#pressure.effective(now, this.#stages.first);
    if (load >= this.#rises) this.#stand(load, now);
    return load;
  }

  #sample(now: number): void {
    this.#sampled = now;
    this.#next = now + this.#every;
    try {
      this.#pressure.sample(this.#monitor(this.#clock as Clock).read(this.#pressure.wanted), now);
    } catch (error) {
      this.audience.report('monitor', error);
    }
    this.#stand(this.#pressure.effective(now, this.#stages.first), now);
  }

  #stand(load: number, now: number): void {
    const from = this.#level;
    const to = this.#stages.level(load);
    this.#rises = this.#stages.above(load);
    if (from === to) return;
    this.#level = to;
    const worse = this.#stages.isWorse(to, from);
    const { name: reason } = this.#pressure.heaviest(now);
    this.audience.emit('system-guard.level-changed', worse ? 'warn' : 'info', undefined, { from, to, load, reason });
  }
}
