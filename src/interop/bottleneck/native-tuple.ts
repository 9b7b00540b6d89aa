/** Which native policies come of which options, as far as the compiler can tell. */

import type { PolicyOptions } from '../../core/mode.ts';
import type { Bulkhead } from '../../policies/bulkhead.ts';
import type { FixedWindow } from '../../policies/fixed-window.ts';
import type { LeakyBucket } from '../../policies/leaky-bucket.ts';
import type { RacingTimeout } from '../../policies/timeout.ts';
import type { TokenBucket } from '../../policies/token-bucket.ts';
import type { BottleneckJobOptions, BottleneckLimiterOptions } from './fields.ts';

/** Options that are translated. */
export type TranslatedOptions = BottleneckLimiterOptions & PolicyOptions;

/** One of the policies that options of bottleneck are translated to: gates, all of them. */
export type NativeBottleneck = Bulkhead | FixedWindow | TokenBucket | LeakyBucket | RacingTimeout;

/** Refuses names that no option has, which type parameters otherwise let pass. */
export type NoOthers<Given, Names> = string extends keyof Given
  ? unknown
  : [Exclude<keyof Given, Names>] extends [never]
    ? unknown
    : { readonly [Name in Exclude<keyof Given, Names>]: never };

type Nothing = null | undefined;
type In<Given, Name> = Name extends keyof Given ? Given[Name] : undefined;

/** A place in the tuple, none, or one or the other. */
type Place<Value, Policy> = [Value] extends [Nothing] ? [] : [Extract<Value, Nothing>] extends [never] ? [Policy] : [] | [Policy];

/** The same, where jobs may weigh nothing and then need none. */
type Weighed<Weight, Place> = [Weight] extends [0] ? [] : 0 extends Weight ? [] | Place : Place;

/** Whether it is no time at all; `boolean` if that cannot be told. */
type IsZero<Time> = Time extends Nothing | 0
  ? true
  : number extends Time
    ? boolean
    : [Extract<'0ms' | '0s' | '0m' | '0h', Time>] extends [never]
      ? false
      : boolean;

type Spacing<Time> = [IsZero<Time>] extends [true] ? [] : [IsZero<Time>] extends [false] ? [LeakyBucket] : [] | [LeakyBucket];

type Increased<Reservoir, Interval> = [Interval] extends [Nothing]
  ? []
  : number extends Reservoir // it might be Infinity
    ? [] | [FixedWindow | TokenBucket]
    : Place<Interval, FixedWindow | TokenBucket>;

type Reservoir<Amount, Refresh, Increase> = [Amount] extends [Nothing]
  ? []
  : [Refresh] extends [Nothing]
    ? Increased<Amount, Increase>
    : Place<Amount | Refresh, FixedWindow>;

type Tuple<Given, Job> = [
  ...Weighed<In<Job, 'weight'>, Place<In<Given, 'maxConcurrent'>, Bulkhead>>,
  ...Weighed<
    In<Job, 'weight'>,
    Reservoir<In<Given, 'reservoir'>, In<Given, 'reservoirRefreshInterval'>, In<Given, 'reservoirIncreaseInterval'>>
  >,
  ...Spacing<In<Given, 'minTime'>>,
  ...Place<In<Job, 'expiration'>, RacingTimeout>,
];

/** The policies that `fromBottleneckOptions` makes of these options, outermost first; of options of which nothing more is known than that they are some, an array. */
export type BottleneckNative<Given = object, Job = object> = keyof BottleneckLimiterOptions extends keyof Given
  ? NativeBottleneck[]
  : Exclude<keyof BottleneckJobOptions, keyof PolicyOptions> extends keyof Job
    ? NativeBottleneck[]
    : Tuple<Given, Job>;
