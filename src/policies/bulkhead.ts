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

import { Sharing } from '../algorithms/sharing.ts';
import { BulkheadFullError, OptionsError, QueueTimeoutError } from '../core/errors.ts';
import { type Fields, count, oneOf, readOptions } from '../core/options.ts';
import { type CommonSettings, type Mode, type PolicyOptions, commonFields } from '../core/mode.ts';
import { type GatePolicy, type Handler, type PlainData, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';
import { type QueueOptions, type QueueSettings, describeQueue, queueFields, queueRules, uselessIn } from '../stores/slots/queue-options.ts';
import { SharedSlots, type SlotsReading } from '../stores/slots/shared-slots.ts';
import { SlotGate, type SlotWords, slotWords } from '../stores/slots/slot-gate.ts';

/** Options of {@link bulkhead}. */
export interface BulkheadOptions extends QueueOptions, PolicyOptions {
  /** How many calls may run at once; `0` is a closed gate until `resize`. No default: only you know what your dependency bears. */
  readonly maxConcurrent: number;
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
    /** Its turn came, and it was let go because the queue stood (codel). */
    'bulkhead.shed': { readonly waited: number };
    /** A call of a higher rank took its place. */
    'bulkhead.evicted': { readonly waited: number };
    'bulkhead.resized': { readonly from: number; readonly to: number };
  }
}

/**
 * Limits; calls that run, slots they take, calls waiting, how long the oldest has waited (ms, or 0); calls turned away at once, after `maxWait`, by codel and by a
 * higher rank; how long waits were; and what each partition has.
 */
export type BulkheadSnapshot = PlainData & SlotsReading & Readonly<Record<'maxConcurrent' | 'maxQueue', number>>;

/** A bulkhead: so many slots, and perhaps a queue in front of them. Several pipelines that hold the same one share its slots. */
export interface Bulkhead extends GatePolicy {
  readonly kind: 'bulkhead';
  /** Calls that hold slots now. After a `resize` to less it may exceed the limit until calls have ended. */
  readonly active: number;
  /** Calls waiting now. */
  readonly queued: number;
  /** Changes `maxConcurrent`: more slots go to waiting calls at once, in order; with fewer, what runs may finish. @throws OptionsError */
  resize(maxConcurrent: number): void;
  snapshot(): BulkheadSnapshot;
}

/** Options as read. */
export interface BulkheadSettings extends CommonSettings, QueueSettings {
  readonly maxConcurrent: number;
  readonly releaseOn: 'settle' | 'timeout';
}

/** The option table. */
export const bulkheadFields: Fields<BulkheadSettings> = {
  maxConcurrent: count(),
  ...queueFields,
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
  const settings = readOptions('bulkhead', bulkheadFields, options, ...queueRules);
  const useless = uselessIn('bulkhead', options);
  if (useless !== undefined) throw new OptionsError([useless]);
  return new BulkheadPolicy(alike.share(settings));
}

const alike = new Sharing<BulkheadSettings>();

/** The policy itself, for those that do something else where its queue is full. */
export class BulkheadPolicy extends SharedSlots implements Bulkhead {
  readonly kind = 'bulkhead';
  readonly name: string | undefined;
  readonly mode: Mode;
  readonly tracks: boolean;
  readonly settings: BulkheadSettings;

  constructor(settings: BulkheadSettings) {
    super(settings.maxConcurrent, settings);
    this.settings = settings;
    this.name = settings.name;
    this.mode = settings.mode;
    this.tracks = settings.maxQueue > 0 && settings.maxWait === Infinity;
  }

  gate(scope: Scope): Gate {
    this.join(scope);
    return new SlotGate(this, scope, bulkheadWords, this.settings.releaseOn === 'settle' ? 'work' : undefined);
  }

  mount(next: Handler, scope: Scope): Handler {
    return mountAlone(this, next, scope);
  }

  /** Nobody holds or waits for a slot, and there are as many as at first. */
  atRest(): boolean {
    return this.active + this.queued === 0 && this.slots.limit === this.settings.maxConcurrent;
  }

  resize(maxConcurrent: number): void {
    const from = this.slots.limit;
    readOptions('bulkhead.resize', { maxConcurrent: bulkheadFields.maxConcurrent }, { maxConcurrent });
    this.setLimit(maxConcurrent);
    this.audience.emit('bulkhead.resized', 'info', undefined, { from, to: maxConcurrent });
  }

  snapshot(): BulkheadSnapshot {
    return { maxConcurrent: this.slots.limit, maxQueue: this.settings.maxQueue, ...this.reading() };
  }

  describe(): PlainData {
    const { maxConcurrent, releaseOn } = this.settings;
    return { maxConcurrent, ...describeQueue(this.settings), releaseOn };
  }
}

/** What its gates say and tell. */
export const bulkheadWords: SlotWords = slotWords('maxConcurrent', BulkheadFullError, QueueTimeoutError, {
  queued: { type: 'bulkhead.queued', level: 'debug' },
  admitted: { type: 'bulkhead.admitted', level: 'debug' },
  'timed-out': { type: 'bulkhead.timed-out', level: 'warn' },
  shed: { type: 'bulkhead.shed', level: 'warn' },
  evicted: { type: 'bulkhead.evicted', level: 'warn' },
});
