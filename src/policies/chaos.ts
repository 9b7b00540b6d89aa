/**
 * Chaos: breaks a share of the calls on purpose, to see what the policies around them make of it.
 *
 * @example
 * ```ts
 * import { chaos, fallback, pipeline } from 'breakwater';
 *
 * const drill = pipeline([fallback({ value: 'plan b' }), chaos({ rate: 1, fault: () => new Error('boom') })]);
 * console.log(await drill.execute(() => 'plan a')); // => 'plan b'
 * ```
 *
 * @module
 */

import { SafetyValve } from '../algorithms/safety-valve.ts';
import { sfc32 } from '../algorithms/sfc32.ts';
import type { Call } from '../core/call.ts';
import type { OptionProblem } from '../core/errors.ts';
import { type PolicyOptions, commonFields } from '../core/mode.ts';
import {
  type Duration,
  Field,
  type Fields,
  anything,
  count,
  duration,
  field,
  flag,
  fn,
  group,
  readOptions,
  show,
} from '../core/options.ts';
import type { PlainData, Policy } from '../core/policy.ts';
import {
  drawsWhatIsGiven,
  errorMaker,
  faultField,
  latencyField,
  rateField,
  scheduleField,
  weightsField,
  weighsWhatIsGiven,
  windowsLast,
} from './chaos/fields.ts';
import { ChaosRules, type ChaosSettings, type ChaosState, given } from './chaos/rules.ts';
import { type InjectionName, type RefusalName, refusals } from './chaos/injections.ts';

/** Where a body breaks off. */
export interface BrokenBodyOptions {
  /** After so many chunks. @defaultValue 1, unless `bytes` is given */
  readonly chunks?: number;
  /** After so many bytes. @defaultValue none */
  readonly bytes?: number;
  /** What reading on fails with: an error, or a function that makes one. @defaultValue an error with the code `ECONNRESET` */
  readonly error?: Error | ((call: Call, u: number) => unknown);
}

/** A stretch of a script; its times count from the first call. */
export interface ChaosWindow {
  /** When it begins. @defaultValue `0` */
  readonly from?: Duration;
  /** When it ends. @defaultValue `Infinity` */
  readonly to?: Duration;
  /** The share of calls meanwhile. @defaultValue the policy's own rate */
  readonly rate?: number | ((call: Call) => number | PromiseLike<number>);
  /** Which of the given injections. @defaultValue all that are given */
  readonly inject?: InjectionName | readonly InjectionName[];
}

/** Options of {@link chaos}. Of several injections, each call that is hit meets one. */
export interface ChaosOptions<Adds = never> extends PolicyOptions {
  /** The share of calls that are hit, 0..1, or a function of the call. @defaultValue `0.001` */
  readonly rate?: number | ((call: Call) => number | PromiseLike<number>);
  /** The work does not run, and the call fails with this error, or what this function makes of the call and of chance (`u`, 0..1); `undefined` leaves the call alone. @defaultValue none */
  readonly fault?: Error | ((call: Call, u: number) => unknown);
  /** The work runs later: by this time, by one between these two, or by what this function says (ms); `Infinity`: it never does. @defaultValue `'1s'`, if nothing else is injected */
  readonly latency?: Duration | readonly [Duration, Duration] | ((call: Call, u: number) => number);
  /** The work does not run, and the call gets this answer, or what this function finds. @defaultValue none */
  readonly outcome?: Adds | ((call: Call, u: number) => Adds | PromiseLike<Adds>);
  /** Runs before the work, which waits for what it promises: drop a table, fill a disk. @defaultValue none */
  readonly behaviour?: (call: Call) => unknown;
  /** The call is refused, as if by one of the other policies, or with what this function makes. @defaultValue none */
  readonly reject?: RefusalName | ((call: Call, u: number) => unknown);
  /** The body of the answer fails half-way: of a `Response`, a web stream, a stream of Node. Other answers are left alone. @defaultValue none */
  readonly abortMidStream?: BrokenBodyOptions;
  /** Each chunk of such a body comes this much later. @defaultValue none */
  readonly slowBody?: Duration;
  /** The process does nothing else for this time, up to 10 s. @defaultValue none */
  readonly blockEventLoop?: Duration;
  /** How often each injection is drawn, against the others. @defaultValue 1 for each */
  readonly weights?: Partial<Readonly<Record<InjectionName, number>>>;
  /** Switches it at run time. @defaultValue `true` */
  readonly enabled?: boolean | ((call: Call) => boolean | PromiseLike<boolean>);
  /** Which calls may be hit: one tenant, some hosts. @defaultValue all */
  readonly only?: (call: Call) => boolean;
  /** Chance of its own, the same in each run, whatever else the pipeline draws. @defaultValue the pipeline's own source of chance */
  readonly seed?: number;
  /** A script: what happens when, counted from the first call. Between its stretches nothing does; where two overlap, the first counts. @defaultValue none: the same at all times */
  readonly schedule?: readonly ChaosWindow[];
  /** Never hits more calls than this in any minute; `Infinity` is allowed. @defaultValue `1000` */
  readonly maxPerMinute?: number;
  /** Whether it may be made where `NODE_ENV` is `production`. @defaultValue `false` */
  readonly allowInProduction?: boolean;
}

declare module '../core/events.ts' {
  interface EventFields {
    'chaos.injected': { readonly injection: InjectionName; readonly delay?: number; readonly error?: unknown };
    'chaos.would-inject': { readonly injection: InjectionName };
  }
}

/** Chaos. */
export interface Chaos<Adds = never> extends Policy<unknown, Adds> {
  readonly kind: 'chaos';
}

/** The option table. */
export const chaosFields: Fields<ChaosSettings> = {
  rate: rateField.or(0.001),
  fault: faultField,
  latency: latencyField,
  outcome: anything('any value, or a function (call, u) => value').optional(),
  behaviour: fn<(call: Call) => unknown>('(call) => anything').optional(),
  reject: field<RefusalName>(
    Object.keys(refusals)
      .map((name) => `'${name}'`)
      .join(', '),
    (value) => (typeof value === 'string' && Object.hasOwn(refusals, value) ? (value as RefusalName) : undefined),
  )
    .orFunction<(call: Call, u: number) => unknown>(errorMaker)
    .optional(),
  abortMidStream: group({ chunks: count().optional(), bytes: count().optional(), error: faultField }).optional(),
  slowBody: duration().optional(),
  blockEventLoop: new Field<number>('a duration up to 10 s', (value, path, problems) => {
    const ms = duration().read(value, path, problems);
    if (ms > 10_000) problems.push({ path, expected: 'a duration up to 10 s', got: show(value) });
    return ms;
  }).optional(),
  weights: weightsField.or({}),
  enabled: flag().or(true).orFunction<(call: Call) => boolean | PromiseLike<boolean>>('(call) => boolean'),
  only: fn<(call: Call) => boolean>('(call) => boolean').optional(),
  seed: field('a whole number', (value) => (Number.isSafeInteger(value) ? (value as number) : undefined)).optional(),
  schedule: scheduleField,
  maxPerMinute: count({ infinite: true }).or(1000),
  allowInProduction: flag().or(false),
  ...commonFields,
};

/** Values whose literal types are kept; without this, `outcome: 'none'` would come out as any string. */
type Literal = string | number | bigint | boolean | symbol | object | null | undefined;

/**
 * Breaks a share of the calls on purpose: errors, delays, other answers, refusals, bodies that fail half-way, a blocked event loop. What it injects counts for the policies around
 * it like the real thing, so it stands innermost. An injected delay ends with the call, in the same tick.
 *
 * It is not made where `NODE_ENV` is `production`, unless it is told that it may (`allowInProduction`) or only shows what it would do (`mode`).
 *
 * @throws OptionsError if an option is wrong, or in production
 */
export function chaos<Adds extends Literal = never>(options: ChaosOptions<Adds> = {}): Chaos<Adds> {
  return new ChaosPolicy<Adds>(
    readOptions('chaos', chaosFields, options, notInProduction, windowsLast, drawsWhatIsGiven, weighsWhatIsGiven),
  );
}

function notInProduction({ allowInProduction, mode }: ChaosSettings): OptionProblem | undefined {
  const { process } = globalThis as { readonly process?: { readonly env?: Readonly<Record<string, string | undefined>> } };
  if (process?.env?.['NODE_ENV'] !== 'production' || allowInProduction || mode === 'off' || mode === 'shadow') return undefined;
  return { path: 'allowInProduction', expected: 'true where NODE_ENV is production, as chaos breaks calls on purpose', got: 'false' };
}

class ChaosPolicy<Adds> implements Chaos<Adds>, ChaosState {
  readonly kind = 'chaos';
  readonly name: string | undefined;
  readonly mode: ChaosSettings['mode'];
  readonly settings: ChaosSettings;
  readonly valve: SafetyValve;
  readonly seeded: ChaosState['seeded'];
  readonly injected: Record<string, number> = {};
  begun: number | undefined = undefined;
  shown = 0;
  capped = 0;

  constructor(settings: ChaosSettings) {
    const { seed, maxPerMinute, name, mode } = settings;
    this.settings = settings;
    this.name = name;
    this.mode = mode;
    this.valve = new SafetyValve(maxPerMinute, 60_000);
    this.seeded = seed === undefined ? undefined : { hits: sfc32(seed), details: sfc32(seed, 1) };
  }

  mount: Chaos['mount'] = (next, scope) => new ChaosRules(this, next, scope).handle;

  snapshot(): PlainData {
    const { injected, shown, capped } = this;
    return { injected: { ...injected }, shown, capped };
  }

  describe(): PlainData {
    const { rate: share, enabled, only, seed, schedule: script, maxPerMinute } = this.settings;
    const said = (value: unknown): unknown => (typeof value === 'function' ? 'computed' : value);
    return {
      injects: given(this.settings),
      rate: said(share),
      enabled: said(enabled),
      only: only === undefined ? 'all calls' : 'chosen',
      seed,
      schedule: script?.map((each) => ({ ...each, rate: said(each.rate) })),
      maxPerMinute,
    };
  }
}
