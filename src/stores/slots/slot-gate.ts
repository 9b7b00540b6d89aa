/**
 * Calls that take slots, and wait for them if there are none.
 *
 * A policy made of slots is three things:
 *
 * - its options spread `queueFields` (queue-options.ts) into their table and hand `queueRules` to `readOptions`;
 * - its policy extends `SharedSlots` (shared-slots.ts): `super(limit, settings)`. All pipelines share it. `setLimit(n)` changes how many slots there are,
 *   `reading()` is what its snapshot tells of them, `describeQueue(settings)` what its `describe()` does, `join(scope)` is called for each gate made;
 * - its gate, one for each pipeline, is a {@link SlotGate}, made with `(policy, scope, words, until)`, or extends it. `enter` takes a slot, or refuses, or makes the call wait;
 *   the pass is a {@link Slot} (`slot.owner` is the call). `words` are what its events and errors are called ({@link slotWords}). A subclass may assign
 *     - `barrier`: one more rule for calls that find no slot free, such as a chance of refusal that grows with the queue;
 *     - `granted`: told of each slot that is handed out, at once or after a wait (keep the time in `slot.begun`);
 *     - `settle` and `cancel`: measure what it likes, then call `this.release(slot)`. Construct with `timeless = false` if it looks at the time.
 */

import type { Wants } from '../../algorithms/lines/line.ts';
import { Holder, Waiter } from '../../algorithms/slots.ts';
import type { Call } from '../../core/call.ts';
import { isWithin, makersOf } from '../../core/context.ts';
import type { RejectedError } from '../../core/errors.ts';
import type { Level } from '../../core/events.ts';
import { made } from '../../core/made.ts';
import { type Failure, refuse } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';
import type { Gate } from '../../core/stage.ts';
import { ExpiryLine } from '../expiry-line.ts';
import { obstacleFor } from './obstacles.ts';
import type { SharedSlots, Slot, Waiting, Way } from './shared-slots.ts';

/** What can become of a call that waits. */
export type SlotEvent = 'queued' | 'admitted' | 'timed-out' | 'shed' | 'evicted';

/** What a kind of slots calls things; made by {@link slotWords}. */
export interface SlotWords {
  readonly limit: string;
  readonly full: typeof RejectedError;
  readonly late: typeof RejectedError;
  readonly events: Readonly<Record<SlotEvent, { readonly type: string; readonly level: Level }>>;
}

/**
 * @param limit - the option or state that says how many slots there are
 * @param full - what a call gets that is turned away because of the load
 * @param late - what it gets if it waited in vain
 * @param events - declare their types in the policy's module
 */
export function slotWords(limit: string, full: typeof RejectedError, late: typeof RejectedError, events: SlotWords['events']): SlotWords {
  return { limit, full, late, events };
}

/** Says why a call may not wait for a slot, or `undefined`. */
export type Barrier = (call: Call, wants: Wants | undefined) => string | undefined;

/** Slots as one pipeline sees them: calls that come through it wait on that pipeline's clock. */
export class SlotGate implements Gate<Slot>, Way {
  readonly until: 'work' | undefined;
  readonly timeless: boolean;
  protected readonly scope: Scope;
  protected readonly words: SlotWords;
  readonly #shared: SharedSlots;
  #expiry: ExpiryLine<Waiting> | undefined = undefined;

  constructor(shared: SharedSlots, scope: Scope, words: SlotWords, until: 'work' | undefined, timeless = true) {
    this.#shared = shared;
    this.scope = scope;
    this.words = words;
    this.until = until;
    this.timeless = timeless;
  }

  enter(call: Call, now: number): Slot | Failure | Promise<Slot | Failure> {
    const { slots, demand } = this.#shared;
    const slot: Slot = new Holder<Call, Way>(call, this, demand?.of(call, this.scope));
    if (demand === undefined ? slots.take(slot) : this.#mayTake(slot) && slots.take(slot)) {
      this.granted?.(slot, now);
      return slot;
    }
    return call.failure ?? this.#refuse(call, slot.wants) ?? this.#wait(call, slot.wants);
  }

  settle: Gate<Slot>['settle'] = (slot) => this.release(slot);
  cancel: Gate<Slot>['cancel'] = (slot) => this.release(slot);
  /** One more reason why a call that found no slot may not wait for one, for its error's message. */
  protected barrier: Barrier | undefined = undefined;
  /** Told of each slot that is handed out. */
  protected granted: ((slot: Slot, now: number) => void) | undefined = undefined;

  /** Gives a slot back; whoever's turn it is has it in the same tick. */
  protected release(slot: Slot): void {
    const { slots, control, flow } = this.#shared;
    if (flow !== undefined) flow.freed(slot.wants?.weight ?? 1, slots.taken >= slots.limit || slots.queued > 0, this.scope.clock.now());
    if (control !== undefined && slots.queued === 0) control.idle();
    slots.release(slot);
  }

  /** It is the waiter's turn. One whose time is up does not start, even if its timer has not come to say so yet. */
  admit(waiter: Waiting): boolean {
    const { control } = this.#shared;
    const now = this.scope.clock.now();
    if (now >= waiter.due) {
      this.#timeOut(waiter);
      return false;
    }
    if (control?.sheds(Math.max(0, now - waiter.since), now) === true) {
      this.#shed(waiter);
      return false;
    }
    this.granted?.(waiter, now);
    this.#end(waiter, waiter, 'admitted');
    return true;
  }

  outgrow(waiter: Waiting): void {
    const { wants, owner } = waiter;
    this.#shared.refused++;
    this.#end(waiter, this.#refusal(this.words.full, owner, this.#tooHeavy(wants as Wants)));
  }

  evict(waiter: Waiting): void {
    const why = "gave the call's place in its queue to one of a higher rank (whenFull), so the work never ran";
    this.#shared.evicted++;
    this.#end(waiter, this.#refusal(this.words.full, waiter.owner, why), 'evicted');
  }

  waited({ since }: Waiting): number {
    return Math.max(0, this.scope.clock.now() - since);
  }

  #newExpiry(): ExpiryLine<Waiting> {
    return new ExpiryLine<Waiting>(this.scope.clock, (waiter) => this.#timeOut(waiter));
  }

  #wait(call: Call, wants: Wants | undefined): Promise<Slot | Failure> {
    const { slots, queueing } = this.#shared;
    const now = this.scope.clock.now();
    return new Promise((resolve) => {
      const waiter = new Waiter<Call, Way, Slot | Failure>(call, this, now, now + queueing.maxWait, resolve, wants);
      slots.wait(waiter);
      if (waiter.due !== Infinity) (this.#expiry ??= this.#newExpiry()).add(waiter, now);
      call.waiter = (failure) => this.#end(waiter, failure);
      if (this.scope.listening) this.#tell('queued', call, { active: slots.active, queued: slots.queued });
      if (wants !== undefined) slots.serve();
    });
  }

  /** Ends a wait: nothing is left of it but the answer, and `word` of it, unless the call was cut short. */
  #end(waiter: Waiting, answer: Slot | Failure, word?: SlotEvent): void {
    this.#shared.slots.leave(waiter);
    this.#expiry?.remove(waiter);
    waiter.tell(answer);
    if (word === undefined) return;
    const waited = this.waited(waiter);
    this.#shared.waits.record(waited);
    if (this.scope.listening) this.#tell(word, waiter.owner, { waited });
  }

  #tell(event: SlotEvent, call: Call, fields: object): void {
    const { type, level } = this.words.events[event];
    this.scope.emit(type, level, call, fields);
  }

  #timeOut(waiter: Waiting): void {
    const why = `had no slot free for ${this.#shared.queueing.maxWait} ms (maxWait), so the work never ran`;
    this.#shared.timedOut++;
    this.#end(waiter, this.#refusal(this.words.late, waiter.owner, why), 'timed-out');
  }

  #shed(waiter: Waiting): void {
    const why = `let the call go after ${Math.round(this.waited(waiter))} ms in a queue that stands (codel), so the work never ran`;
    this.#shared.shed++;
    this.#end(waiter, this.#refusal(this.words.late, waiter.owner, why), 'shed');
  }

  /** Whether the key of a newcomer has fewer calls than it may have. */
  #mayTake({ wants }: Slot): boolean {
    const { slots, queueing } = this.#shared;
    const key = wants?.key;
    return key === undefined || slots.ofKey(key) < queueing.maxPerKey;
  }

  #refuse(call: Call, wants: Wants | undefined): Failure | undefined {
    const { slots, queueing } = this.#shared;
    const { limit, taken, line } = slots;
    if (limit > 0 && wants !== undefined && wants.weight > limit) return this.#turnAway(call, this.#tooHeavy(wants));
    const least = queueing.whenFull === 'evict-lowest' && !slots.hasPlace ? line.least : undefined;
    const victim = least !== undefined && (least.wants?.rank ?? 0) < (wants?.rank ?? 0) ? least : undefined;
    const obstacle =
      obstacleFor(this.#shared, call, wants, this.scope.clock, victim !== undefined) ??
      (this.#holdsSlot(call) ? SELF : undefined) ??
      this.barrier?.(call, wants);
    if (obstacle === undefined) {
      if (victim !== undefined) victim.way.evict(victim);
      return undefined;
    }
    const full = limit === 0 ? `is closed (${this.words.limit} is 0)` : `has ${taken} of ${limit} slots taken`;
    return this.#turnAway(call, `${full} and ${obstacle}`);
  }

  #turnAway(call: Call, why: string): Failure {
    this.#shared.refused++;
    return this.#refusal(this.words.full, call, why);
  }

  #tooHeavy({ weight }: Wants): string {
    return `has ${this.#shared.slots.limit} slots (${this.words.limit}) and the call takes ${weight} (weight), so it can never run`;
  }

  #refusal(Type: typeof RejectedError, { key }: Call, why: string): Failure {
    const { pipeline, policy, stack } = this.scope;
    return refuse(made(Type, `${pipeline}: ${policy} ${why}`, { pipeline, policy, key }, stack));
  }

  /** Whether the work that makes this call holds a slot, however far out, or the call itself does by an outer mount of the same slots. */
  #holdsSlot(call: Call): boolean {
    const { slots, mounts } = this.#shared;
    const makers = makersOf(call);
    if (makers.size === 0 && mounts === 1) return false;
    // A slot that an earlier attempt of this call took through this very gate does not count: it comes free by itself.
    return slots.someHolder(({ owner, way }) => makers.has(owner) || (way !== this && isWithin(call, owner)));
  }
}

const SELF = 'the call comes from work that holds one, so it could wait for itself; give inner calls slots of their own';
