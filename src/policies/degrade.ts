/**
 * Degrade: a switch for a feature, with levels from full to off, flipped by hand, by plans, or by itself.
 *
 * @example
 * ```ts
 * import { degrade, pipeline } from 'breakwater';
 *
 * const related = degrade({ feature: 'related items', levels: ['full', { name: 'off', value: [] }] });
 * const search = pipeline([related]);
 * related.set('off', { reason: 'sale', for: '2h' });
 * console.log(await search.executeOutcome(() => ['one', 'two'])); // => { ok: true, value: [], degraded: true }
 * ```
 *
 * @module
 */

import type { Call } from '../core/call.ts';
import { DegradedError, type OptionProblem } from '../core/errors.ts';
import { made } from '../core/made.ts';
import { Frame } from '../core/frame.ts';
import { type CommonSettings, type Mode, type PolicyOptions, commonFields } from '../core/mode.ts';
import { type Fields, field, readOptions, show } from '../core/options.ts';
import { type Failure, refuse } from '../core/outcome.ts';
import type { PlainData, Policy } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate, Stage } from '../core/stage.ts';
import { AutomaticDegradation } from '../stores/switchboard/automatic-degradation.ts';
import { type AutomaticOptions, type AutomaticOptionsRead, automaticField } from '../stores/switchboard/automatic-options.ts';
import { Board } from '../stores/switchboard/board.ts';
import { FeatureService, ServiceGate, ServiceReaction } from './degrade/service.ts';
import type { FeatureCause, FeatureKind } from '../stores/switchboard/feature-switch.ts';
import { type DegradeLevel, type LevelSettings, kindField, levelsField } from './degrade/lesser-level.ts';
import { type OrderOptions, type SwitchboardAction, nameField } from '../stores/switchboard/order-book.ts';
import {
  type LevelHold,
  type Remark,
  type Switchboard,
  type SwitchboardOptions,
  switchboardFields,
} from '../stores/switchboard/switchboard.ts';

/** Options of {@link degrade}. */
export interface DegradeOptions<
  Levels extends readonly (string | DegradeLevel)[] = readonly (string | DegradeLevel)[],
> extends PolicyOptions {
  /** What is degraded, by the name that operators know it by. Policies of the same feature share its switch. */
  readonly feature: string;
  /** Whether it reads or writes. A write is never answered with a plain `value`: that would look as if it had been done. @defaultValue `'read'` */
  readonly kind?: FeatureKind;
  /** From full to off. The first is the work itself; at a level that is only a name, calls are refused. @defaultValue `['full', 'off']` */
  readonly levels?: Levels;
  /** By what it is degraded by itself. @defaultValue only by hand */
  readonly auto?: AutomaticOptions;
  /** The switchboard it is on. @defaultValue `defaultSwitchboard` */
  readonly board?: Switchboard;
}

declare module '../core/events.ts' {
  interface EventFields {
    'degrade.changed': {
      readonly feature: string;
      readonly from: string;
      readonly to: string;
      /** What has been done. */
      readonly action: SwitchboardAction;
      /** Who decides on the level now. */
      readonly cause: FeatureCause;
      readonly plan?: string;
      readonly reason?: string;
      readonly by?: string;
      /** When what decides lapses, ms since 1970. */
      readonly until?: number;
    };
    'degrade.served': { readonly feature: string; readonly served: string };
    'degrade.failed': { readonly feature: string; readonly served: string; readonly error: unknown };
    'degrade.skipped': { readonly feature: string; readonly served: string; readonly running: number };
  }
}

/** A feature's switch, as its pipelines and operators hold it. */
export interface Degrade<Level extends string = string, Adds = never> extends Policy<unknown, Adds> {
  readonly kind: 'degrade';
  readonly feature: string;
  readonly levels: readonly Level[];
  /** The level it stands at now. */
  readonly level: Level;
  /** Puts it at a level by hand, whatever the automatic says. A plain string is the reason. */
  set(level: Level, how?: string | OrderOptions): void;
  /** Takes back what was set by hand; false if nothing was. */
  clear(how?: string | Remark): boolean;
  /** Keeps it at this level, or deeper, until released; of several holds the deepest counts. */
  hold(level: Level, how?: string | Remark): LevelHold;
}

/** Options as read. */
export interface DegradeSettings extends CommonSettings {
  readonly feature: string;
  readonly kind: FeatureKind;
  readonly levels: readonly LevelSettings[];
  readonly auto: AutomaticOptionsRead | undefined;
  readonly board: Board | undefined;
}

/** The option table. */
export const degradeFields: Fields<DegradeSettings> = {
  feature: nameField,
  kind: kindField,
  levels: levelsField.or(['full', 'off']),
  auto: automaticField.optional(),
  board: field<Board>('a switchboard()', (value) => (value instanceof Board ? value : undefined)).optional(),
  ...commonFields,
};

/**
 * Makes a switchboard: the switches of many features in one place, with plans that flip several in one call and are rolled back in one call.
 *
 * @throws OptionsError if an option is wrong
 *
 * @example
 * ```ts
 * import { degrade, switchboard } from 'breakwater';
 *
 * const board = switchboard();
 * for (const feature of ['hints', 'reviews']) degrade({ feature, board });
 * const rush = board.plan('rush', { hints: 'off', reviews: 'off' });
 * rush.apply({ reason: 'black friday', by: 'ada', for: '4h' });
 * console.log(board.list().map(({ feature, level }) => `${feature} ${level}`)); // => ['hints off', 'reviews off']
 * rush.rollback();
 * console.log(board.get('hints')?.level); // => full
 * ```
 */
export function switchboard(options: SwitchboardOptions = {}): Switchboard {
  return new Board(readOptions('switchboard', switchboardFields, options));
}

const common = new Board(readOptions('switchboard', switchboardFields, { name: 'default' }));

/** The switchboard of features that are given none. */
export const defaultSwitchboard: Switchboard = common;

type LevelName<L> = L extends string ? L : L extends { readonly name: infer Name extends string } ? Name : never;

type AnswerOf<L> = L extends { readonly run: (...args: never[]) => infer R }
  ? Awaited<R>
  : L extends { readonly value: infer V }
    ? V
    : never;

/**
 * Puts a feature on a switch. At full, calls pass at next to no cost; at a lesser level they get what it says, flagged `degraded`, or are refused with a
 * {@link DegradedError}. A level whose function fails, is full or too slow makes way for the next one, for that call.
 *
 * @throws OptionsError if an option is wrong, or the board knows the feature with other levels
 */
export function degrade<Name extends string, Levels extends readonly (Name | DegradeLevel<Name>)[]>(
  options: DegradeOptions<Levels> & { readonly levels: Levels },
): Degrade<LevelName<Levels[number]>, AnswerOf<Levels[number]>>;
export function degrade(options: Omit<DegradeOptions, 'levels'>): Degrade<'full' | 'off'>;
export function degrade(options: DegradeOptions): Degrade<string, unknown> {
  return new DegradePolicy(readOptions('degrade', degradeFields, options, writesAreDone, deepestIsKnown));
}

function writesAreDone({ kind, levels }: DegradeSettings): OptionProblem | undefined {
  const at = kind === 'write' ? levels.findIndex(({ way }) => typeof way === 'object' && !way.runs) : -1;
  if (at < 0) return undefined;
  return {
    path: `levels[${at}].value`,
    expected: 'run, or a refusal, as this feature writes',
    got: 'a value that looks as if it were done',
  };
}

function deepestIsKnown({ auto, levels }: DegradeSettings): OptionProblem | undefined {
  const names = levels.map(({ name }) => name);
  if (auto?.deepest === undefined || names.indexOf(auto.deepest) > 0) return undefined;
  return { path: 'auto.deepest', expected: `one of the lesser levels ${names.slice(1).join(', ')}`, got: show(auto.deepest) };
}

class DegradePolicy implements Degrade<string, unknown> {
  readonly kind = 'degrade';
  readonly name: string | undefined;
  readonly mode: Mode;
  readonly feature: string;
  readonly levels: readonly string[];
  /** A gate alone, where no level answers: it needs no promise then. */
  readonly gate: ((scope: Scope) => Gate) | undefined;
  readonly #service: FeatureService;
  readonly #settings: DegradeSettings;

  constructor(settings: DegradeSettings) {
    const { feature, kind, levels, auto } = settings;
    const board = settings.board ?? common;
    this.name = settings.name;
    this.mode = settings.mode;
    this.feature = feature;
    this.levels = levels.map(({ name }) => name);
    this.#settings = settings;
    const ways = levels.map(({ way }) => way);
    const known = board.register(feature, kind, this.levels);
    if (auto !== undefined) {
      const deepest = auto.deepest === undefined ? levels.length - 1 : this.levels.indexOf(auto.deepest);
      known.automatic = new AutomaticDegradation({ ...auto, deepest });
    }
    this.#service = new FeatureService(known, board, ways, (call, scope, cause) => this.#refuse(call, scope, cause));
    this.gate = this.#service.answers ? undefined : (scope) => this.#join(scope, false);
  }

  /** Where a level answers: a gate that sends calls back, and around it what answers them. */
  stages(scope: Scope): readonly Stage[] {
    const gate = { scope, gate: this.#join(scope, scope.shadow) };
    return this.#service.answers ? [{ scope, reaction: new ServiceReaction(this.#service, scope) }, gate] : [gate];
  }

  mount: Degrade['mount'] = (next, scope) => new Frame(this.stages(scope), next).handle;

  get level(): string {
    this.#service.board.look(this.#service.feature);
    return this.#service.feature.level;
  }

  set(level: string, how?: string | OrderOptions): void {
    this.#service.board.set(this.feature, level, how);
  }

  clear(how?: string | Remark): boolean {
    return this.#service.board.clear(this.feature, how);
  }

  hold(level: string, how?: string | Remark): LevelHold {
    return this.#service.board.hold(this.feature, level, how);
  }

  snapshot(): PlainData {
    this.#service.board.look(this.#service.feature);
    const tiers = this.#service.ways.flatMap((way) => (typeof way === 'object' ? [way.snapshot()] : []));
    return { ...this.#service.feature.standing(), tiers };
  }

  describe(): PlainData {
    const { feature, kind, levels, auto } = this.#settings;
    const way = (each: LevelSettings['way']): string => (typeof each === 'string' ? each : each.runs ? 'computed' : 'value');
    const { load, openCircuits, ...others } = auto ?? ({} as Partial<AutomaticOptionsRead>);
    const automatic = { ...others, load: load && { enterAt: load.enterAt, leaveAt: load.leaveAt }, openCircuits: openCircuits?.length };
    return { feature, kind, levels: levels.map((each) => ({ name: each.name, gets: way(each.way) })), auto: auto && automatic };
  }

  #join(scope: Scope, onlyShows: boolean): Gate {
    this.#service.board.join(this.#service.feature, scope);
    return new ServiceGate(this.#service, scope, onlyShows);
  }

  #refuse({ key }: Call, { pipeline, policy, stack }: Scope, cause: unknown): Failure {
    const { feature, board } = this.#service;
    const { reason, until } = feature.state();
    const message = `${pipeline}: ${feature.feature} is at level ${feature.level}${reason === undefined ? '' : `: ${reason}`}`;
    const retryAfter = until === undefined ? undefined : Math.max(0, Math.ceil(until - board.wall()));
    return refuse(made(DegradedError, message, { pipeline, policy, key, cause, retryAfter }, stack));
  }
}
