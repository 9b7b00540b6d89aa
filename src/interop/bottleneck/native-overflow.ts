/**
 * A bulkhead that does at its high-water mark what bottleneck does with LEAK and BLOCK: no policy of the core lets the oldest call go for a newcomer, or locks
 * everybody out for a while.
 */

import { BulkheadFullError } from '../../core/errors.ts';
import type { Call } from '../../core/call.ts';
import { made } from '../../core/made.ts';
import { readOptions } from '../../core/options.ts';
import { type Failure, refuse } from '../../core/outcome.ts';
import type { PlainData } from '../../core/policy.ts';
import type { Scope } from '../../core/scope.ts';
import type { Gate } from '../../core/stage.ts';
import {
  type Bulkhead,
  type BulkheadOptions,
  BulkheadPolicy,
  type BulkheadSettings,
  type BulkheadSnapshot,
  bulkheadFields,
  bulkheadWords,
} from '../../policies/bulkhead.ts';
import { queueRules } from '../../stores/slots/queue-options.ts';
import type { Slot, Waiting } from '../../stores/slots/shared-slots.ts';
import { SlotGate } from '../../stores/slots/slot-gate.ts';

/** What happens to a call that finds the queue full. */
export interface HighWaterMark {
  /** How many may wait. */
  readonly highWater: number;
  /**
   * How long (ms) nobody is let in after a call that found the queue full, all who wait are let go, and every call that comes meanwhile begins that time anew (BLOCK).
   * `undefined`: of those who rank lowest, and no higher than the newcomer, the one that waits longest is let go (LEAK).
   */
  readonly penalty: number | undefined;
}

/** A bulkhead with such a mark. @throws OptionsError if an option is wrong */
export function overflowing(options: Omit<BulkheadOptions, 'maxQueue' | 'whenFull'>, mark: HighWaterMark): Bulkhead {
  return new OverflowingBulkhead(
    readOptions('bulkhead', bulkheadFields, { ...options, maxQueue: Number.MAX_SAFE_INTEGER }, ...queueRules),
    mark,
  );
}

class OverflowingBulkhead extends BulkheadPolicy {
  readonly mark: HighWaterMark;
  /** Nobody is let in up to this time, ms. */
  blockedUntil = -Infinity;
  /** In which order those came who wait: time does not tell, where several come in one tick. */
  readonly #arrivals = new WeakMap<Call, number>();
  #arrived = 0;

  constructor(settings: BulkheadSettings, mark: HighWaterMark) {
    super(settings);
    this.mark = mark;
  }

  override gate(scope: Scope): Gate {
    this.join(scope);
    return new OverflowingGate(this, scope);
  }

  /** A call is about to wait. */
  note(call: Call): void {
    this.#arrivals.set(call, this.#arrived++);
  }

  /** Of those who wait and rank lowest, the one that has waited longest. */
  get oldestOfTheLowest(): Waiting | undefined {
    const { line } = this.slots;
    const lowest = line.least;
    if (lowest === undefined) return line.oldest;
    let oldest = lowest;
    line.some((waiting) => {
      if (rankOf(waiting.wants) === rankOf(lowest.wants) && this.#arrivalOf(waiting) < this.#arrivalOf(oldest)) oldest = waiting;
      return false;
    });
    return oldest;
  }

  #arrivalOf({ owner }: Waiting): number {
    return this.#arrivals.get(owner) ?? 0;
  }

  override snapshot(): BulkheadSnapshot {
    return { ...super.snapshot(), maxQueue: this.mark.highWater };
  }

  override describe(): PlainData {
    const { highWater: maxQueue, penalty } = this.mark;
    const whenFull = penalty === undefined ? { whenFull: 'evict-oldest' } : { whenFull: 'block', penalty };
    return { ...super.describe(), maxQueue, ...whenFull };
  }
}

class OverflowingGate extends SlotGate {
  readonly #bulkhead: OverflowingBulkhead;

  constructor(bulkhead: OverflowingBulkhead, scope: Scope) {
    super(bulkhead, scope, bulkheadWords, bulkhead.settings.releaseOn === 'settle' ? 'work' : undefined);
    this.#bulkhead = bulkhead;
  }

  override enter(call: Call, now: number): Slot | Failure | Promise<Slot | Failure> {
    const { blockedUntil, mark } = this.#bulkhead;
    if (mark.penalty === undefined || now > blockedUntil) return super.enter(call, now);
    this.#bulkhead.refused++;
    return this.#refusal(call, this.#block(mark.penalty));
  }

  /** Ends a wait as an abort would, with a refusal. */
  override evict(waiting: Waiting): void {
    const { owner } = waiting;
    const { waiter } = owner;
    const waited = this.waited(waiting);
    const why =
      this.#bulkhead.mark.penalty === undefined
        ? 'gave the place of the call that waited longest to a newcomer (LEAK)'
        : 'let everybody go who waited when a call found its queue full (BLOCK)';
    owner.waiter = undefined;
    this.#bulkhead.evicted++;
    waiter?.(this.#refusal(owner, `${why}, so the work never ran`));
    if (this.scope.listening) this.scope.emit('bulkhead.evicted', 'warn', owner, { waited });
  }

  /** Asked about calls that found no slot and are about to wait. */
  protected override barrier = (call: Call, wants: Slot['wants']): string | undefined => {
    const { slots, mark } = this.#bulkhead;
    if (slots.queued >= mark.highWater) {
      if (mark.penalty !== undefined) return this.#block(mark.penalty);
      const victim = this.#bulkhead.oldestOfTheLowest;
      if (victim === undefined || rankOf(victim.wants) > rankOf(wants))
        return `its queue of ${mark.highWater} is full of calls that rank higher`;
      victim.way.evict(victim);
    }
    this.#bulkhead.note(call);
    return undefined;
  };

  /** Lets everybody go who waits, and nobody in for so long. */
  #block(penalty: number): string {
    this.#bulkhead.blockedUntil = this.scope.clock.now() + penalty;
    const all: Waiting[] = [];
    this.#bulkhead.slots.line.some((waiting) => all.push(waiting) === 0);
    // From the end: if the first one went before the others, its slots would go to the next.
    for (const waiting of all.reverse()) waiting.way.evict(waiting);
    return `lets nobody in until no call has come for ${penalty} ms (BLOCK)`;
  }

  #refusal({ key }: Call, why: string): Failure {
    const { pipeline, policy, stack } = this.scope;
    return refuse(made(BulkheadFullError, `${pipeline}: ${policy} ${why}`, { pipeline, policy, key }, stack));
  }
}

function rankOf(wants: Slot['wants']): number {
  return wants?.rank ?? 0;
}
