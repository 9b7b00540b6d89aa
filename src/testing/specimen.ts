/** What the laws are examined with. */

import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import type { Work } from '../core/call.ts';
import type { CallOptions } from '../core/call-options.ts';
import { definePolicy } from '../core/define.ts';
import type { PipelineEvent } from '../core/events.ts';
import { Failure, type Settled, refuse } from '../core/outcome.ts';
import { type Pipeline, pipeline } from '../core/pipeline.ts';
import type { AnyPolicy, GatePolicy } from '../core/policy.ts';
import type { LawClock, Subject } from './contract.ts';
import { hop } from './hop.ts';
import { seededRandom } from './random.ts';
import { VirtualClock } from './virtual-clock.ts';

/** Reasons people give to `abort()`. */
export const reasons: readonly unknown[] = [new Error('the caller gave up'), 'a plain string', 0, { why: 'an object' }];

/** Policies in a pipeline on a clock of their own. */
export class Specimen {
  readonly clock: LawClock;
  readonly pipeline: Pipeline;
  readonly #events: PipelineEvent[] = [];

  constructor(clock: Subject['clock'], ...policies: readonly AnyPolicy[]) {
    this.clock = clock?.() ?? new VirtualClock();
    this.pipeline = pipeline<readonly AnyPolicy[]>(policies, { name: 'specimen', clock: this.clock, random: seededRandom(1) });
  }

  /** Starts to record events; until then nobody listens. */
  record(): readonly PipelineEvent[] {
    this.pipeline.on('*', (event) => this.#events.push(event));
    return this.#events;
  }

  /** Runs a call, moving the clock as far as it takes. */
  run(work: Work<unknown>, options?: CallOptions): Promise<Settled<unknown>> {
    return this.clock.until(this.start(work, options));
  }

  /** Starts a call. */
  start(work: Work<unknown>, options?: CallOptions): Promise<Settled<unknown>> {
    return this.pipeline.executeOutcome(work as Work<never>, options);
  }

  /** Checks that calls still get through. */
  async passes(what: string): Promise<void> {
    const outcome = await this.run(() => 'through');
    deepStrictEqual(outcome, { ok: true, value: 'through' }, `${what}: the next call should get through untouched`);
  }

  /** Checks that nothing is left behind (G4). */
  leavesNothing(signal?: AbortSignal): void {
    strictEqual(this.clock.pending, 0, `${this.clock.pending} timers are left after the last call has settled`);
    strictEqual(this.pipeline.snapshot().active, 0, 'the pipeline still counts calls as under way');
    if (signal !== undefined)
      strictEqual(getEventListeners(signal, 'abort').length, 0, "listeners are left on the caller's signal after the call has settled");
  }
}

/** What a call has come to without time passing. */
export interface Sight {
  readonly settled: Settled<unknown> | undefined;
}

/** Looks, once all promise jobs are done, whether a call has settled. */
export async function look(call: Promise<Settled<unknown>>): Promise<Sight> {
  let settled: Settled<unknown> | undefined;
  void call.then((outcome) => (settled = outcome));
  await hop();
  return { settled };
}

/** Checks that a call ended at once, without time passing, with this very thing. */
export async function endedWith(call: Promise<Settled<unknown>>, error: unknown, when: string): Promise<void> {
  const { settled } = await look(call);
  ok(settled !== undefined, `${when}: the call should end in the same tick, and is still pending`);
  strictEqual(settled.ok, false, `${when}: the call should reject`);
  sameError(settled, error, when);
}

/** Checks that an outcome carries this very thing as its error. */
export function sameError(outcome: Settled<unknown>, error: unknown, when: string): void {
  ok(!outcome.ok, `${when}: the call should reject, and resolved`);
  ok(Object.is(outcome.error, error), `${when}: the caller should see the very thing that was thrown, and got ${String(outcome.error)}`);
}

/** Work that settles when told to. */
export interface HeldWork {
  readonly work: Work<unknown>;
  /** How often it has begun. */
  runs: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Makes work that runs until it is told how to end. */
export function heldWork(): HeldWork {
  const endings: { resolve: (value: unknown) => void; reject: (error: unknown) => void }[] = [];
  const held: HeldWork = {
    runs: 0,
    work: () => {
      held.runs++;
      return new Promise((resolve, reject) => endings.push({ resolve, reject }));
    },
    resolve: (value) => endings.forEach((ending) => ending.resolve(value)),
    reject: (error) => endings.forEach((ending) => ending.reject(error)),
  };
  return held;
}

/** Work that goes on until its signal aborts, and then rejects with the reason. */
export const untilAborted: Work<never> = ({ signal }) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));

/** A gate that lets everybody in and writes down what happens to it. */
export function probe(name: string, log: string[]): GatePolicy {
  let passes = 0;
  return definePolicy<number>({
    kind: 'probe',
    name,
    gate: {
      enter: () => {
        log.push(`enter ${name}`);
        return ++passes;
      },
      settle: (_, outcome) => void log.push(`settle ${name} ${outcome instanceof Failure ? outcome.kind : 'success'}`),
      cancel: () => void log.push(`cancel ${name}`),
    },
  });
}

/** A gate that refuses everybody. */
export function wall(error: unknown): GatePolicy {
  return definePolicy({ kind: 'wall', gate: { enter: () => refuse(error), settle: () => undefined, cancel: () => undefined } });
}
