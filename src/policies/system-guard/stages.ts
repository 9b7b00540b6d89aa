/** What is done at which load: little at first, and to few calls. After the scaled triggers of Envoy's overload manager. */

import { type Fields, numeric, Field } from '../../core/options.ts';
import { RANKS, rankOf } from '../../core/priority.ts';
import { STRAIN } from '../../core/strain.ts';

/** How much is done: each does what stands before it, too, as far as that is switched on. */
export type SystemGuardLevel = 'calm' | 'shedding' | 'tightening' | 'sparing' | 'refusing' | 'closing';

/** From which load on; `false`: never. */
export interface SystemGuardActions {
  /** The least important calls are refused; the higher the load, the more of them. */
  readonly shed: number | false;
  /** Calls with a deadline get less time. */
  readonly tighten: number | false;
  /** Nothing is tried again or hedged. */
  readonly spare: number | false;
  /** Servers should close connections once they have answered. */
  readonly close: number | false;
}

function share(max: number): Field<number | false> {
  const load = numeric({ above: 0, max });
  return new Field<number | false>(`${load.expected}, or false`, (value, path, problems) =>
    value === false ? false : load.read(value, path, problems),
  );
}

/** The table of actions. */
export const actionFields: Fields<SystemGuardActions> = {
  shed: share(1).or(0.8),
  tighten: share(1).or(0.85),
  spare: share(1).or(0.9),
  close: share(100).or(1.1),
};

/** Ranks from here on are shed only when all are refused. */
const CRITICAL = rankOf('critical');

/** The most important calls have a reserve above the threshold. */
const CRITICAL_PLUS = rankOf('critical-plus');

/** The stages of one guard. */
export class Stages {
  /** Below this load nothing is done. */
  readonly first: number;
  readonly #actions: SystemGuardActions;
  readonly #tightest: number;
  readonly #reserve: number;
  /** From the highest level to the lowest. */
  readonly #levels: readonly (readonly [SystemGuardLevel, number])[];

  constructor(actions: SystemGuardActions, tightest: number, reserve: number) {
    const { shed, tighten, spare, close } = actions;
    this.#actions = actions;
    this.#tightest = tightest;
    this.#reserve = reserve;
    this.#levels = [
      ['closing', close === false ? Infinity : close],
      ['refusing', 1],
      ['sparing', spare === false ? Infinity : spare],
      ['tightening', tighten === false ? Infinity : tighten],
      ['shedding', shed === false ? Infinity : shed],
      ['calm', -Infinity],
    ];
    this.first = Math.min(...this.#levels.slice(0, -1).map(([, from]) => from));
  }

  /** The level at this load. */
  level(load: number): SystemGuardLevel {
    return (this.#levels.find(([, from]) => load >= from) as readonly [SystemGuardLevel, number])[0];
  }

  /** The next load at which more is done than at this one. */
  above(load: number): number {
    return Math.min(...this.#levels.map(([, from]) => (from > load ? from : Infinity)));
  }

  /** Whether more is done at the one level than at the other. */
  isWorse(one: SystemGuardLevel, other: SystemGuardLevel): boolean {
    const place = (level: SystemGuardLevel): number => this.#levels.findIndex(([name]) => name === level);
    return place(one) < place(other);
  }

  /** Extra work is left undone from this load on. */
  get strained(): number {
    const { spare } = this.#actions;
    return spare === false ? STRAIN : Math.min(STRAIN, spare);
  }

  /**
   * Calls of a lower rank are refused at this load. From `shed` to the threshold it rises through the sheddable classes, level by level; at the threshold it takes in the critical
   * ones, and what is critical-plus only beyond its reserve. It never falls as the load rises.
   */
  refusedBelow(load: number): number {
    if (load >= 1) return load >= 1 + this.#reserve ? RANKS : CRITICAL_PLUS;
    const { shed } = this.#actions;
    return shed === false || load <= shed ? 0 : ((load - shed) / (1 - shed)) * CRITICAL;
  }

  /** The share of what a busy process carries that calls of this rank may use: a half to all, so that what is left is for those that matter more. */
  shareOf(rank: number): number {
    return rank >= CRITICAL ? 1 : 0.5 + (0.5 * rank) / CRITICAL;
  }

  /** The share of its remaining time that a call keeps at this load. */
  patience(load: number): number {
    const { tighten } = this.#actions;
    if (tighten === false || load < tighten) return 1;
    return load >= 1 ? this.#tightest : 1 - ((1 - this.#tightest) * (load - tighten)) / (1 - tighten);
  }

  /** Whether retries and hedges inside are to be left out at this load. */
  spares(load: number): boolean {
    const { spare } = this.#actions;
    return spare !== false && load >= spare;
  }
}
