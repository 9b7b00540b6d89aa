/**
 * Bulkhead: bounds how many calls run at once, so that one slow dependency cannot take everything down with it.
 *
 * @example
 * ```ts
 * import { bulkhead, pipeline } from 'breakwater';
 *
 * const reports = pipeline([bulkhead({ maxConcurrent: 2, maxQueue: 10, maxWait: '200ms' })]);
 * console.log(await Promise.all([1, 2, 3].map((n) => reports.execute(async () => n * n)))); // => [1, 4, 9]
 * ```
 *
 * @module
 */

import { Deadlines } from '../algorithms/deadlines.ts';
import { Holder, Slots, Waiter } from '../algorithms/slots.ts';
import { Alarm } from '../core/alarm.ts';
import type { Call } from '../core/call.ts';
import { makersOf } from '../core/context.ts';
import { BulkheadFullError, OptionsError, QueueTimeoutError, type RejectedError } from '../core/errors.ts';
import { made } from '../core/made.ts';
import { type Duration, type Fields, count, duration, oneOf, readOptions } from '../core/options.ts';
import { type CommonSettings, type Mode, type PolicyOptions, commonFields } from '../core/mode.ts';
import { type Failure, refuse } from '../core/outcome.ts';
import { type GatePolicy, type PlainData, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';
import { SharedSlots } from '../stores/shared-slots.ts';

/** Options of {@link bulkhead}. */
export interface BulkheadOptions extends PolicyOptions {
  /** How many calls may run at once; `0` is a closed gate until `resize`. No default: only you know what your dependency bears. */
  readonly maxConcurrent: number;
  /** How many more may wait for a slot, first come, first served. Without a queue a call that finds all slots taken is refused at once. @defaultValue `0` */
  readonly maxQueue?: number;
  /** How long a call may wait in the queue; its deadline bounds the wait too. @defaultValue `Infinity` */
  readonly maxWait?: Duration;
  /**
   * When a slot is free again: `'settle'`, when the work has really ended, also if a timeout or an abort answered long before; `'timeout'`, when
   * the caller has its answer, so that more work than `maxConcurrent` may be running. @defaultValue `'settle'`
   */
  readonly releaseOn?: 'settle' | 'timeout';
}

declare module '../core/events.ts' {
  interface EventFields {
    'bulkhead.queued': { readonly active: number; readonly queued: number };
    'bulkhead.admitted': { readonly waited: number };
    'bulkhead.timed-out': { readonly waited: number };
    'bulkhead.resized': { readonly from: number; readonly to: number };
  }
}

/** Limits, slots taken, calls waiting, how long the oldest has waited (ms, or 0), and calls turned away at once and after `maxWait`. */
export type BulkheadSnapshot = PlainData &
  Readonly<Record<'maxConcurrent' | 'maxQueue' | 'active' | 'queued' | 'oldestWait' | 'refused' | 'timedOut', number>>;

/** A bulkhead: so many slots, and perhaps a queue in front of them. Several pipelines that hold the same one share its slots. */
export interface Bulkhead extends GatePolicy {
  readonly kind: 'bulkhead';
  /** Slots taken now. After a `resize` to less it may exceed the limit until calls have ended. */
  readonly active: number;
  /** Calls waiting now. */
  readonly queued: number;
  /** Changes `maxConcurrent`: more slots go to waiting calls at once, in order; with fewer, what runs may finish. @throws OptionsError */
  resize(maxConcurrent: number): void;
  snapshot(): BulkheadSnapshot;
}

/** Options as read. */
export interface BulkheadSettings extends CommonSettings, Required<Omit<BulkheadOptions, 'maxWait' | keyof PolicyOptions>> {
  readonly maxWait: number;
}

/** The option table. */
export const bulkheadFields: Fields<BulkheadSettings> = {
  maxConcurrent: count(),
  maxQueue: count().or(0),
  maxWait: duration({ min: 0.001, infinite: true }).or(Infinity),
  releaseOn: oneOf('settle', 'timeout').or('settle'),
  ...commonFields,
};

/**
 * Lets so many calls run at once, as many more wait, and refuses the rest with a {@link BulkheadFullError}. A slot that is given back goes to the head
 * of the queue in the same tick, and nobody overtakes. A call that waited `maxWait` gets a {@link QueueTimeoutError} and its work never runs. A call
 * made from inside work that holds a slot of the same bulkhead does not wait without bound for another: it could be waiting for itself.
 *
 * @throws OptionsError if an option is wrong, or `maxWait` is given without a `maxQueue`
 */
export function bulkhead(options: BulkheadOptions): Bulkhead {
  const settings = readOptions('bulkhead', bulkheadFields, options);
  if (settings.maxWait === Infinity || options.maxQueue !== undefined) return new BulkheadPolicy(settings);
  throw new OptionsError([{ path: 'bulkhead.maxQueue', expected: 'a queue to go with maxWait', got: 'none (by default no call waits)' }]);
}

type Slot = Holder<Call, BulkheadGate>;
type Waiting = Waiter<Call, BulkheadGate, Slot | Failure>;

class BulkheadPolicy extends SharedSlots<Slot, Waiting> implements Bulkhead {
  readonly kind = 'bulkhead';
  readonly name: string | undefined;
  readonly mode: Mode;
  readonly tracks: boolean;
  readonly settings: BulkheadSettings;
  readonly atRest = (): boolean => this.active + this.queued === 0 && this.slots.limit === this.settings.maxConcurrent;

  constructor(settings: BulkheadSettings) {
    super(new Slots(settings.maxConcurrent, settings.maxQueue, (waiter) => waiter.way.admit(waiter)));
    this.settings = settings;
    this.name = settings.name;
    this.mode = settings.mode;
    this.tracks = settings.maxQueue > 0 && settings.maxWait === Infinity;
  }

  gate(scope: Scope): Gate {
    this.join(scope);
    return new BulkheadGate(this, scope);
  }

  mount: Bulkhead['mount'] = (next, scope) => mountAlone(this, next, scope);

  resize(maxConcurrent: number): void {
    const from = this.slots.limit;
    readOptions('bulkhead.resize', { maxConcurrent: bulkheadFields.maxConcurrent }, { maxConcurrent });
    this.slots.resize(maxConcurrent);
    this.audience.emit('bulkhead.resized', 'info', undefined, { from, to: maxConcurrent });
  }

  snapshot(): BulkheadSnapshot {
    const { active, queued, refused, timedOut } = this;
    const { limit: maxConcurrent, oldest } = this.slots;
    const oldestWait = oldest?.way.waited(oldest) ?? 0;
    return { maxConcurrent, maxQueue: this.settings.maxQueue, active, queued, oldestWait, refused, timedOut };
  }

  describe(): PlainData {
    const { maxConcurrent, maxQueue, maxWait, releaseOn } = this.settings;
    return { maxConcurrent, maxQueue, maxWait, releaseOn };
  }
}

/** The bulkhead as one pipeline sees it: calls that come through it wait on that pipeline's clock. */
class BulkheadGate implements Gate<Slot> {
  readonly until: 'work' | undefined;
  readonly timeless = true;
  readonly #bulkhead: BulkheadPolicy;
  readonly #scope: Scope;
  readonly #deadlines = new Deadlines<Waiting>();
  readonly #alarm: Alarm;

  constructor(bulkhead: BulkheadPolicy, scope: Scope) {
    this.until = bulkhead.settings.releaseOn === 'settle' ? 'work' : undefined;
    this.#bulkhead = bulkhead;
    this.#scope = scope;
    this.#alarm = new Alarm(scope.clock, (now) => {
      this.#deadlines.expire(now, (waiter) => this.#timeOut(waiter));
      this.#alarm.set(this.#deadlines.next, now);
    });
  }

  enter(call: Call): Slot | Failure | Promise<Slot | Failure> {
    const { slots } = this.#bulkhead;
    const slot = new Holder(call, this);
    if (slots.take(slot)) return slot;
    return call.failure ?? this.#refuse(call) ?? this.#wait(call);
  }

  readonly settle = (slot: Slot): void => void this.#bulkhead.slots.release(slot);
  readonly cancel = this.settle;

  /** It is the waiter's turn. One whose time is up does not start, even if its timer has not come to say so yet. */
  admit(waiter: Waiting): boolean {
    if (waiter.due !== Infinity && this.#scope.clock.now() >= waiter.due) {
      this.#timeOut(waiter);
      return false;
    }
    this.#end(waiter, waiter);
    if (this.#scope.listening) this.#scope.emit('bulkhead.admitted', 'debug', waiter.owner, { waited: this.waited(waiter) });
    return true;
  }

  waited({ since }: Waiting): number {
    return Math.max(0, this.#scope.clock.now() - since);
  }

  #wait(call: Call): Promise<Slot | Failure> {
    const { slots, settings } = this.#bulkhead;
    const now = this.#scope.clock.now();
    return new Promise((resolve) => {
      const waiter = new Waiter(call, this, now, now + settings.maxWait, resolve);
      slots.wait(waiter);
      if (waiter.due !== Infinity) {
        this.#deadlines.add(waiter);
        this.#alarm.set(waiter.due, now);
      }
      call.waiter = (failure) => this.#end(waiter, failure);
      if (this.#scope.listening) this.#scope.emit('bulkhead.queued', 'debug', call, { active: slots.active, queued: slots.queued });
    });
  }

  /** Ends a wait: nothing is left of it but the answer. */
  #end(waiter: Waiting, answer: Slot | Failure): void {
    this.#bulkhead.slots.leave(waiter);
    if (this.#deadlines.remove(waiter) && this.#deadlines.size === 0) this.#alarm.clear();
    waiter.tell(answer);
  }

  #timeOut(waiter: Waiting): void {
    const why = `had no slot free for ${this.#bulkhead.settings.maxWait} ms (maxWait), so the work never ran`;
    this.#bulkhead.timedOut++;
    this.#end(waiter, this.#refusal(QueueTimeoutError, waiter.owner, why));
    if (this.#scope.listening) this.#scope.emit('bulkhead.timed-out', 'warn', waiter.owner, { waited: this.waited(waiter) });
  }

  #refuse(call: Call): Failure | undefined {
    const obstacle = this.#obstacle(call);
    if (obstacle === undefined) return undefined;
    const { active, limit } = this.#bulkhead.slots;
    this.#bulkhead.refused++;
    const full = limit === 0 ? 'is closed (maxConcurrent is 0)' : `has ${active} of ${limit} slots taken`;
    return this.#refusal(BulkheadFullError, call, `${full} and ${obstacle}`);
  }

  #refusal(Type: typeof RejectedError, { key }: Call, why: string): Failure {
    const { pipeline, policy, stack } = this.#scope;
    return refuse(made(Type, `${pipeline}: ${policy} ${why}`, { pipeline, policy, key }, stack));
  }

  #obstacle(call: Call): string | undefined {
    const { slots, settings } = this.#bulkhead;
    if (settings.maxQueue === 0) return 'has no queue (maxQueue is 0)';
    if (!call.waits) return 'tryAcquire does not wait';
    if (!slots.hasPlace) return `its queue of ${settings.maxQueue} is full`;
    if (!this.#holdsSlot(call)) return undefined;
    return 'the call comes from work that holds one, so it could wait for itself; give inner calls a bulkhead of their own';
  }

  /** Whether the work that makes this call holds a slot, however far out, or the call itself does by an outer mount of this bulkhead. */
  #holdsSlot(call: Call): boolean {
    const { slots, mounts } = this.#bulkhead;
    const makers = makersOf(call);
    if (makers.size === 0 && mounts === 1) return false;
    // A slot that an earlier attempt of this call took through this very gate does not count: it comes free by itself.
    return slots.someHolder(({ owner, way }) => makers.has(owner) || (way !== this && call.isWithin(owner)));
  }
}
