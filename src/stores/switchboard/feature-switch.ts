import type { Layer } from '../../algorithms/layers.ts';
import { Audience } from '../../core/audience.ts';
import type { AutomaticDegradation } from './automatic-degradation.ts';

/** Features that are read and features that write are degraded for different reasons, and answer differently. */
export type FeatureKind = 'read' | 'write';

/** Who decides on a feature's level: nobody (it is full), an operator's hand, a plan, a hold in the code, or the automatic. */
export type FeatureCause = 'none' | 'manual' | 'plan' | 'hold' | 'automatic';

/** Somebody's order, and what is known about it. Times are ms since 1970. */
export interface Order {
  readonly plan?: string | undefined;
  readonly reason?: string | undefined;
  readonly by?: string | undefined;
  /** When it was given. */
  readonly given: number;
  /** When it lapses. */
  readonly lapses?: number | undefined;
}

/** An order for one feature or several. */
export interface OrderLayer extends Layer, Order {}

/** Somebody holds a feature at a level, or deeper. */
export interface HoldOrder extends Order {
  readonly level: number;
}

/** How a feature stands, as plain data. Times are ms since 1970. */
export interface FeatureState {
  readonly feature: string;
  readonly kind: FeatureKind;
  readonly levels: readonly string[];
  readonly level: string;
  readonly degraded: boolean;
  readonly cause: FeatureCause;
  readonly plan?: string;
  readonly reason?: string;
  readonly by?: string;
  /** Since when it stands at this level. */
  readonly since: number;
  /** When what decides lapses by itself. */
  readonly until?: number;
  readonly automatic: boolean;
  readonly holds: number;
}

/** A feature has come to another level. */
export interface LevelChange {
  readonly feature: string;
  readonly from: string;
  readonly to: string;
}

/** One feature's switch: where it stands and why. Orders come from its board. */
export class FeatureSwitch {
  readonly feature: string;
  readonly kind: FeatureKind;
  readonly levels: readonly string[];
  /** Pipelines that serve it. */
  readonly audience: Audience = new Audience();
  readonly holds: Map<object, HoldOrder> = new Map<object, HoldOrder>();
  automatic: AutomaticDegradation | undefined = undefined;
  /** The level it stands at; 0 is full. */
  index = 0;
  cause: FeatureCause = 'none';
  /** Counts the levels it has stood at: what began at an earlier one says nothing about this one. */
  epoch = 0;
  #order: Order | undefined = undefined;
  #since: number;

  constructor(feature: string, kind: FeatureKind, levels: readonly string[], wall: number) {
    this.feature = feature;
    this.kind = kind;
    this.levels = levels;
    this.#since = wall;
  }

  get level(): string {
    return this.levels[this.index] as string;
  }

  /** When what decides now lapses by itself, ms since 1970. */
  get lapses(): number | undefined {
    return this.#order?.lapses;
  }

  /** Finds out anew where it stands: what was ordered last, or else the automatic; and no fuller than the deepest hold. */
  restand(layer: OrderLayer | undefined, wall: number): LevelChange | undefined {
    const before = this.index;
    const base = layer?.levels.get(this.feature) ?? this.automatic?.level ?? 0;
    const hold = this.#deepestHold();
    const held = hold !== undefined && hold.level > base;
    this.#order = held ? hold : layer;
    this.index = held ? hold.level : base;
    this.cause = held ? 'hold' : layer !== undefined ? (layer.plan === undefined ? 'manual' : 'plan') : base > 0 ? 'automatic' : 'none';
    if (this.index === before) return undefined;
    this.epoch++;
    this.automatic?.restart();
    this.#since = wall;
    return { feature: this.feature, from: this.levels[before] as string, to: this.level };
  }

  state(): FeatureState {
    const { kind, levels } = this;
    return { kind, levels, ...this.standing() };
  }

  /** Its state, without what never changes. */
  standing(): Omit<FeatureState, 'kind' | 'levels'> {
    const { feature, level, index, cause, automatic, holds } = this;
    const { plan, reason, by, lapses: until } = this.#order ?? ({} as Partial<Order>);
    return {
      feature,
      level,
      degraded: index > 0,
      cause,
      ...(plan !== undefined && { plan }),
      ...(reason !== undefined && { reason }),
      ...(by !== undefined && { by }),
      since: this.#since,
      ...(until !== undefined && { until }),
      automatic: automatic !== undefined,
      holds: holds.size,
    };
  }

  #deepestHold(): HoldOrder | undefined {
    let deepest: HoldOrder | undefined;
    for (const hold of this.holds.values()) if (deepest === undefined || hold.level > deepest.level) deepest = hold;
    return deepest;
  }
}
