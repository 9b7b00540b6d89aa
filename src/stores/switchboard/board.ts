import { Layers } from '../../algorithms/layers.ts';
import { type Clock, systemClock, wallTime } from '../../core/clock.ts';
import type { EventOf, Listener, Off } from '../../core/events.ts';
import { show } from '../../core/options.ts';
import type { Scope } from '../../core/scope.ts';
import { ChangeFeed } from './change-feed.ts';
import { FeatureRegistry } from './feature-registry.ts';
import type { FeatureKind, FeatureState, FeatureSwitch, LevelChange, OrderLayer } from './feature-switch.ts';
import { OrderBook, type OrderOptions, type OrderSettings, type SwitchboardEntry, readName, readOrder, told, wrong } from './order-book.ts';
import type { DegradePlan, LevelHold, PlanState, Remark, Switchboard, SwitchboardSettings, SwitchboardSnapshot } from './switchboard.ts';

/** What happens to a board, before it is known what comes of it. */
type Deed = Omit<SwitchboardEntry, 'at' | 'changes'>;

/** Orders by hand lie among the plans, under names that no plan can have. */
const byHand = (feature: string): string => `\0${feature}`;

/** A switchboard in this process. What lapses does so when somebody looks: no timer runs. */
export class Board implements Switchboard {
  readonly name: string;
  readonly #settings: SwitchboardSettings;
  readonly #features: FeatureRegistry;
  readonly #plans = new Map<string, ReadonlyMap<string, string>>();
  readonly #layers = new Layers<OrderLayer>();
  readonly #book: OrderBook;
  readonly #feed: ChangeFeed;
  #clock: Clock;
  /** What makes its clock's time the board's, which goes on when the clock is replaced. */
  #offset = 0;

  constructor(settings: SwitchboardSettings) {
    this.#settings = settings;
    this.name = settings.name;
    this.#clock = settings.clock ?? systemClock;
    this.#book = new OrderBook(settings.history);
    this.#features = new FeatureRegistry(settings.name, settings.max);
    this.#feed = new ChangeFeed(settings.name, () => this.#clock.now());
  }

  /** The switch of a feature, made if it is not there. @throws OptionsError */
  register(feature: string, kind: FeatureKind, levels: readonly string[]): FeatureSwitch {
    return this.#features.register(feature, kind, levels, this.wall());
  }

  /** A pipeline serves a feature. If the board was given no clock, it goes by that of the first pipeline that was. */
  join(feature: FeatureSwitch, scope: Scope): void {
    feature.audience.add(scope);
    if (this.#settings.clock !== undefined || this.#clock !== systemClock || scope.clock === systemClock) return;
    // Whole milliseconds: with fractions, sums of times would miss each other by a rounding.
    this.#offset += Math.round(this.#clock.now() - scope.clock.now());
    this.#clock = scope.clock;
  }

  /** The board's time, ms. */
  now(): number {
    return this.#clock.now() + this.#offset;
  }

  /** Whether something may have changed without anybody's doing. */
  get timed(): boolean {
    return this.#layers.next !== Infinity;
  }

  /** Carries out what is due: orders that have lapsed, and this feature's automatic, unless somebody decides in its place. */
  look(feature?: FeatureSwitch): void {
    const now = this.now();
    for (let layer = this.#layers.lapse(now); layer !== undefined; layer = this.#layers.lapse(now))
      this.#do({ action: 'lapsed', ...about(layer) }, layer.levels.keys());
    if (feature?.automatic === undefined || this.#layers.deciding(feature.feature) !== undefined) return;
    const reason = feature.automatic.look(now, (error) => feature.audience.report('load', error));
    if (reason !== undefined) this.#do({ action: 'automatic', feature: feature.feature, reason }, [feature.feature]);
  }

  list(): readonly FeatureState[] {
    const features = this.#features.all();
    for (const feature of features) this.look(feature);
    return features.map((feature) => feature.state());
  }

  get(name: string): FeatureState | undefined {
    const feature = this.#features.get(name);
    if (feature !== undefined) this.look(feature);
    return feature?.state();
  }

  set(feature: string, level: string, how?: string | OrderOptions): void {
    const levels = this.#features.depths('set', [[feature, level]]);
    this.#order(byHand(feature), levels, { action: 'set', feature }, readOrder('set', how));
  }

  clear(feature: string, how?: string | Remark): boolean {
    this.#features.find('clear', feature);
    const { reason, by } = readOrder('clear', how);
    this.look();
    if (this.#layers.remove(byHand(feature)) === undefined) return false;
    this.#do({ action: 'cleared', feature, ...told({ reason, by }) }, [feature]);
    return true;
  }

  hold(name: string, level: string, how?: string | Remark): LevelHold {
    const [[, depth] = ['', 0]] = this.#features.depths('hold', [[name, level]]);
    const feature = this.#features.find('hold', name);
    const { reason, by } = readOrder('hold', how);
    const token = {};
    this.look();
    feature.holds.set(token, { level: depth, given: this.wall(), reason, by });
    this.#do({ action: 'held', feature: name, ...told({ reason, by }) }, [name]);
    const release = (): void => {
      this.look();
      if (feature.holds.delete(token)) this.#do({ action: 'released', feature: name, ...told({ reason, by }) }, [name]);
    };
    return { release, [Symbol.dispose]: release };
  }

  plan(given: string, levels: Readonly<Record<string, string>>): DegradePlan {
    const name = readName('plan', given);
    if (typeof levels !== 'object' || (levels as unknown) === null || Array.isArray(levels))
      throw wrong('plan.levels', 'an object with a level for each feature', show(levels));
    const read = Object.entries(levels).map(
      ([feature, level]) => [readName('plan.levels', feature), readName(`plan.levels.${feature}`, level)] as const,
    );
    if (read.length === 0) throw wrong('plan.levels', 'a level for at least one feature', 'none');
    if (!this.#plans.has(name)) this.#features.checkRoom('plan', this.#plans, name);
    this.#plans.set(name, new Map(read));
    const standing = (): boolean => this.#standing(name) !== undefined;
    return {
      name,
      get applied() {
        return standing();
      },
      apply: (how) => this.apply(name, how),
      rollback: (how) => this.rollback(name, how),
    };
  }

  apply(plan: string, how?: string | OrderOptions): void {
    const levels = this.#features.depths('apply', this.#plan('apply', plan));
    this.#order(plan, levels, { action: 'applied', plan }, readOrder('apply', how), plan);
  }

  rollback(given?: string, how?: string | Remark): boolean {
    const { reason, by } = readOrder('rollback', how);
    this.look();
    const plan = given ?? this.#layers.all().findLast((layer) => layer.plan !== undefined)?.name;
    if (plan === undefined) return false;
    this.#plan('rollback', plan);
    const layer = this.#layers.remove(plan);
    if (layer === undefined) return false;
    this.#do({ action: 'rolled-back', plan, ...told({ reason, by }) }, layer.levels.keys());
    return true;
  }

  history(): readonly SwitchboardEntry[] {
    this.list();
    return this.#book.all();
  }

  snapshot(): SwitchboardSnapshot {
    const features = this.list();
    return { name: this.name, features, plans: [...this.#plans.keys()].map((name) => this.#planState(name)), history: this.#book.all() };
  }

  on(type: 'degrade.changed', listener: Listener<EventOf<'degrade.changed'>>): Off {
    return this.#feed.on(type, listener);
  }

  /** Puts an order on top of the others. */
  #order(name: string, levels: ReadonlyMap<string, number>, deed: Deed, order: OrderSettings, plan?: string): void {
    const { reason, by, for: time = Infinity } = order;
    this.look();
    const given = this.wall();
    const lapses = time === Infinity ? undefined : given + time;
    const before = this.#layers.get(name)?.levels.keys() ?? [];
    this.#layers.put({ name, levels, until: this.now() + time, plan, reason, by, given, lapses });
    this.#do({ ...deed, ...told({ reason, by }) }, new Set([...before, ...levels.keys()]));
  }

  /** Has these features find out where they stand, writes down what came of it, and tells of it when all of it is done. */
  #do(deed: Deed, features: Iterable<string>): void {
    const at = this.wall();
    const changes: LevelChange[] = [];
    for (const name of features) {
      const feature = this.#features.find('board', name);
      const change = feature.restand(this.#layers.deciding(name), at);
      if (change === undefined) continue;
      changes.push(change);
      const { action, plan, reason, by } = deed;
      this.#feed.add(feature, { ...change, action, cause: feature.cause, ...told({ plan, reason, by, until: feature.lapses }) });
    }
    this.#book.add({ at, ...deed, changes });
    this.#feed.tell();
  }

  #plan(what: string, name: string): ReadonlyMap<string, string> {
    const plan = this.#plans.get(name);
    if (plan !== undefined) return plan;
    throw wrong(`${what}.plan`, `a plan that ${this.name} knows`, show(name));
  }

  #standing(plan: string): OrderLayer | undefined {
    this.look();
    return this.#layers.get(plan);
  }

  #planState(plan: string): PlanState {
    const standing = this.#layers.get(plan);
    const levels = Array.from(this.#plans.get(plan) ?? [], ([feature, level]) => ({ feature, level }));
    if (standing === undefined) return { plan, levels, applied: false };
    const { reason, by, given: since, lapses: until } = standing;
    return { plan, levels, applied: true, since, ...told({ until, reason, by }) };
  }

  /** Ms since 1970. */
  wall(): number {
    return wallTime(this.#clock);
  }
}

/** What a layer of orders is about. */
function about({ name, plan, reason, by }: OrderLayer): Omit<Deed, 'action'> {
  return plan === undefined ? { feature: name.slice(1), ...told({ reason, by }) } : { plan, ...told({ reason, by }) };
}
