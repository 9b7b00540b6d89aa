import type { Wants } from '../../algorithms/lines/line.ts';
import { Holder } from '../../algorithms/slots.ts';
import type { Call } from '../../core/call.ts';
import type { Failure, Outcome } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';
import type { PriorityThreshold } from '../../stores/priority-threshold.ts';
import type { Slot, Way } from '../../stores/slots/shared-slots.ts';
import { SlotGate, type SlotWords } from '../../stores/slots/slot-gate.ts';
import type { LearningSlots } from './learning-slots.ts';

/** An adaptive limiter as one pipeline sees it. A pass without a time is that of a call that went by. */
export class AdaptiveGate extends SlotGate {
  readonly #limiter: LearningSlots;
  /** Whether a slot is held until the work has really ended. */
  readonly #holds: boolean;

  constructor(limiter: LearningSlots, scope: Scope, words: SlotWords, holds: boolean) {
    super(limiter, scope, words, undefined, false);
    this.#limiter = limiter;
    this.#holds = holds;
  }

  override enter(call: Call, now: number): Slot | Failure | Promise<Slot | Failure> {
    const limiter = this.#limiter;
    if (limiter.passesBy(call, this.scope)) return new Holder<Call, Way>(call, this);
    return super.enter(call, now);
  }

  override settle = (slot: Slot, outcome: Outcome, now: number): void => {
    const { begun } = slot;
    if (begun === undefined) return;
    // A timeout says at once that there is too much to do; whatever still runs has its slot until it has ended.
    this.#limiter.learn(slot.owner, begun, outcome, this.scope, now);
    if (!this.#holds || !slot.owner.whenQuiet(() => this.release(slot))) this.release(slot);
  };

  override cancel = (slot: Slot): void => {
    if (slot.begun !== undefined) this.release(slot);
  };

  protected override granted = (slot: Slot, now: number): void => {
    const { threshold } = this.#limiter;
    slot.begun = now;
    if (threshold === undefined) return;
    threshold.started();
    // One that waited was counted when it came.
    if (!('since' in slot)) this.#arrived(threshold, slot.wants, 0, now);
  };

  /** Calls that may wait as far as the queue has room; the longer it is, the more of them may not. */
  protected override barrier = (_call: Call, wants: Wants | undefined): string | undefined => {
    const { threshold, pressure: share, queued } = this.#limiter;
    if (threshold !== undefined) return this.#ranked(threshold, wants, share);
    if (share === 0 || (share < 1 && this.scope.random() >= share)) return undefined;
    return `its queue of ${queued} is long for that limit, so ${percent(share)} of the calls that come are turned away`;
  };

  #ranked(threshold: PriorityThreshold, wants: Wants | undefined, share: number): string | undefined {
    const rank = wants?.rank ?? 0;
    this.#arrived(threshold, wants, share, this.scope.clock.now());
    if (rank < (threshold.threshold ?? -Infinity))
      return `more calls come than it can serve; its threshold is at rank ${threshold.threshold}, and the call has ${rank}`;
    if (share < 1) return undefined;
    const { least } = this.#limiter.slots.line;
    if (least === undefined || (least.wants?.rank ?? 0) >= rank) return `its queue is full of calls of rank ${rank} or higher`;
    least.way.evict(least);
    return undefined;
  }

  #arrived(threshold: PriorityThreshold, wants: Wants | undefined, pressure: number, now: number): void {
    if (!threshold.arrived(wants?.rank ?? 0, pressure, now)) return;
    this.#limiter.audience.emit('adaptive-limiter.threshold-changed', 'info', undefined, { threshold: threshold.threshold });
  }
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}
