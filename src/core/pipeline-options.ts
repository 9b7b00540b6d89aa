import type { Classifier } from './classification.ts';
import { type Clock, type Random, isClock } from './clock.ts';
import type { AnyEvent, Listener } from './events.ts';
import { type Fields, field, flag, fn, text } from './options.ts';

/** Options of `pipeline`. */
export interface PipelineOptions {
  /** What events, errors and snapshots call it. @defaultValue `'pipeline'` */
  readonly name?: string;
  /** Where time comes from; tests give a `VirtualClock`. @defaultValue the process clock */
  readonly clock?: Clock;
  /** Where chance comes from: numbers in [0, 1). @defaultValue `Math.random` */
  readonly random?: Random;
  /** Gets every event. @defaultValue none */
  readonly on?: Listener<AnyEvent>;
  /** What outcomes mean, for all policies that do not say so themselves. @defaultValue errors of Node, undici, gRPC and HTTP clients, and HTTP responses, are known for what they are */
  readonly classify?: Classifier;
  /**
   * Whether calls that the work makes after its first `await` know in whose work they are made: then they inherit its deadline and do not retry inside its retry.
   * Calls made before that, and those that are given the work's `signal`, always know. Tracking costs half a microsecond a call, and on Node 20 and 22 it slows every
   * promise of the process. @defaultValue `false`
   */
  readonly track?: boolean;
  /** Whether refusals carry a stack trace, which costs most of what a refusal costs. @defaultValue `false` */
  readonly stack?: boolean;
}

/** The same, as read. */
export interface PipelineSettings {
  readonly name: string;
  readonly clock: Clock | undefined;
  readonly random: Random | undefined;
  readonly on: Listener<AnyEvent> | undefined;
  readonly classify: Classifier<never> | undefined;
  readonly track: boolean;
  readonly stack: boolean;
}

/** The table of a pipeline's options. */
export const pipelineFields: Fields<PipelineSettings> = {
  name: text().or('pipeline'),
  clock: field<Clock>('a clock with now, setTimeout and clearTimeout', (value) => (isClock(value) ? value : undefined)).optional(),
  random: fn<Random>('() => number in [0, 1)').optional(),
  on: fn<Listener<AnyEvent>>('(event) => void').optional(),
  classify: fn<Classifier<never>>('(outcome, call) => verdict, flags or undefined').optional(),
  track: flag().or(false),
  stack: flag().or(false),
};
