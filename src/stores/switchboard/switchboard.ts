/** What operators see of features and their switches, and can do with them. */

import { type Clock, isClock } from '../../core/clock.ts';
import type { EventOf, Listener, Off } from '../../core/events.ts';
import { type Fields, count, field } from '../../core/options.ts';
import type { PlainData } from '../../core/policy.ts';
import type { FeatureState } from './feature-switch.ts';
import { type OrderOptions, type SwitchboardEntry, nameField } from './order-book.ts';

/** Who takes an order back, and why. */
export type Remark = Omit<OrderOptions, 'for'>;

/** Keeps a feature at a level, or deeper, until it is released. */
export interface LevelHold extends Disposable {
  /** Lets go; the feature goes where the others say. A second call does nothing. */
  release(): void;
}

/** A named set of levels, flipped together. */
export interface DegradePlan {
  readonly name: string;
  /** Whether it stands now. */
  readonly applied: boolean;
  apply(how?: string | OrderOptions): void;
  rollback(how?: string | Remark): boolean;
}

/** A plan as plain data. Times are ms since 1970. */
export interface PlanState {
  readonly plan: string;
  readonly levels: readonly { readonly feature: string; readonly level: string }[];
  readonly applied: boolean;
  readonly since?: number;
  readonly until?: number;
  readonly reason?: string;
  readonly by?: string;
}

/** All that a switchboard shows, as plain data. */
export interface SwitchboardSnapshot extends PlainData {
  readonly name: string;
  readonly features: readonly FeatureState[];
  readonly plans: readonly PlanState[];
  readonly history: readonly SwitchboardEntry[];
}

/**
 * The switches of many features in one place. Orders by hand and plans lie in a stack: for each feature the latest order that names it counts, and an
 * order that is taken back leaves exactly what the others say. Holds only ever make it less. Wrong names are an `OptionsError`, and nothing has changed then.
 */
export interface Switchboard {
  readonly name: string;
  /** All features, by name. */
  list(): readonly FeatureState[];
  /** One feature; `undefined` if there is none of this name. */
  get(feature: string): FeatureState | undefined;
  /** Puts a feature at a level by hand, whatever the automatic says. */
  set(feature: string, level: string, how?: string | OrderOptions): void;
  /** Takes back what was set by hand; false if nothing was. */
  clear(feature: string, how?: string | Remark): boolean;
  /** Keeps a feature at this level, or deeper, until released; of several holds the deepest counts. */
  hold(feature: string, level: string, how?: string | Remark): LevelHold;
  /** Defines a plan: levels by feature. Features may come later, and must be there when it is applied. */
  plan(name: string, levels: Readonly<Record<string, string>>): DegradePlan;
  /** Flips all that a plan names in one call; one that stands already moves on top. */
  apply(plan: string, how?: string | OrderOptions): void;
  /** Takes a plan back in one call (without a name, the one on top): all is as if it had never been. False if it does not stand. */
  rollback(plan?: string, how?: string | Remark): boolean;
  /** What has happened, oldest first. */
  history(): readonly SwitchboardEntry[];
  snapshot(): SwitchboardSnapshot;
  /** Listens to changes of all its features, whether a pipeline serves them or not. */
  on(type: 'degrade.changed', listener: Listener<EventOf<'degrade.changed'>>): Off;
}

/** Options of a switchboard. */
export interface SwitchboardOptions {
  /** What events and messages call it. @defaultValue `'switchboard'` */
  readonly name?: string;
  /** Where it takes its time from. @defaultValue the clock of the first pipeline with one of its own that serves a feature of it, until then the process clock */
  readonly clock?: Clock;
  /** How many entries of its history are kept. @defaultValue `100` */
  readonly history?: number;
  /** How many features, and how many plans, it knows at most. @defaultValue `1000` */
  readonly max?: number;
}

/** The same, as read. */
export interface SwitchboardSettings {
  readonly name: string;
  readonly clock: Clock | undefined;
  readonly history: number;
  readonly max: number;
}

/** The option table. */
export const switchboardFields: Fields<SwitchboardSettings> = {
  name: nameField.or('switchboard'),
  clock: field<Clock>('a clock with now, setTimeout and clearTimeout', (value) => (isClock(value) ? value : undefined)).optional(),
  history: count().or(100),
  max: count({ min: 1 }).or(1000),
};
