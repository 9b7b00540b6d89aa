import type { Call } from '../core/call.ts';
import type { CallOptions } from '../core/call-options.ts';
import type { Random } from '../core/clock.ts';
import type { PipelineEvent } from '../core/events.ts';
import type { AddsOf, InOrder, Policies, SeesOf } from '../core/inference.ts';
import { type Pipeline, pipeline } from '../core/pipeline.ts';
import type { AnyPolicy } from '../core/policy.ts';
import { seededRandom } from './random.ts';
import { VirtualClock } from './virtual-clock.ts';

/** Options of {@link arrange}. */
export interface ArrangeOptions {
  /** @defaultValue `'test'` */
  readonly name?: string;
  /** Share it with another pipeline. @defaultValue a new one */
  readonly clock?: VirtualClock;
  /** Seed of the source of chance. @defaultValue `1` */
  readonly seed?: number;
  /** Chance itself, in place of a seed. @defaultValue a generator with that seed */
  readonly random?: Random;
  /** Whether refusals carry a stack trace. @defaultValue `false` */
  readonly stack?: boolean;
}

/** All that a test of a pipeline needs. */
export interface Arranged<P extends Policies> {
  readonly pipeline: Pipeline<P>;
  /** The pipeline's `execute`. */
  readonly run: <T extends SeesOf<P>>(work: (call: Call) => T | PromiseLike<T>, options?: CallOptions) => Promise<T | AddsOf<P>>;
  readonly clock: VirtualClock;
  readonly random: Random;
  /** Every event so far, in order. */
  readonly events: readonly PipelineEvent[];
  /** The first policy, the only one more often than not. */
  readonly policy: P[0];
  readonly policies: P;
}

/**
 * Arranges a test: a policy, or several, in a pipeline on a virtual clock, with seeded chance and recorded events.
 *
 * @example
 * ```ts
 * import { timeout } from 'breakwater';
 * import { arrange, work } from 'breakwater/testing';
 *
 * const { run, clock, events } = arrange(timeout({ after: '1h' }));
 * const outcome = await clock.until(run(work('hang')).catch((error) => error.code));
 * console.log(outcome, events.map(({ type }) => type).join(' ')); // => ERR_TIMEOUT timeout.expired pipeline.settled
 * ```
 */
export function arrange<P extends AnyPolicy>(policy: P, options?: ArrangeOptions): Arranged<readonly [P]>;
export function arrange<const P extends Policies>(policies: P & InOrder<P>, options?: ArrangeOptions): Arranged<P>;
export function arrange(given: AnyPolicy | Policies, options: ArrangeOptions = {}): Arranged<Policies> {
  const { name = 'test', clock = new VirtualClock(), seed = 1, random = seededRandom(seed), stack = false } = options;
  const policies = isList(given) ? given : [given];
  const events: PipelineEvent[] = [];
  const on = (event: PipelineEvent): void => void events.push(event);
  const arranged = pipeline<Policies>(policies, { name, clock, random, stack, on });
  return {
    pipeline: arranged,
    run: (work, how) => arranged.execute(work, how),
    clock,
    random,
    events,
    policy: policies[0] as AnyPolicy,
    policies,
  };
}

function isList(given: AnyPolicy | Policies): given is Policies {
  return Array.isArray(given);
}
