import type { DelayControl } from '../../algorithms/codel.ts';
import { Partitions } from '../../algorithms/lines/partitions.ts';
import { type Holder, Slots, type Waiter } from '../../algorithms/slots.ts';
import { SlotFlow } from '../../algorithms/slot-flow.ts';
import { type Waits, WaitHistogram } from '../../algorithms/wait-histogram.ts';
import { Audience } from '../../core/audience.ts';
import type { Call } from '../../core/call.ts';
import type { Failure } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';
import { STRAIN } from '../../core/strain.ts';
import { Demand } from './demand.ts';
import { delayControlOf, lineMaker } from './order.ts';
import type { QueueSettings } from './queue-options.ts';

/** A slot that is held: the pass of a call. */
export type Slot = Holder<Call, Way>;

/** A call that waits for a slot. */
export type Waiting = Waiter<Call, Way, Slot | Failure>;

/** By which pipeline a call came. */
export interface Way {
  /** It is the waiter's turn, and the slot is in its hand; false if it wants it no more. */
  admit(waiter: Waiting): boolean;
  /** The limit has become less than what it waits for. */
  outgrow(waiter: Waiting): void;
  /** It loses its place in the queue to a call of a higher rank. */
  evict(waiter: Waiting): void;
  /** How long it has waited, ms. */
  waited(waiter: Waiting): number;
}

/** What every snapshot of slots tells. */
export interface SlotsReading {
  readonly active: number;
  /** Slots that those hold; more than `active` if calls are weighted. */
  readonly taken: number;
  readonly queued: number;
  readonly oldestWait: number;
  readonly refused: number;
  readonly timedOut: number;
  readonly shed: number;
  readonly evicted: number;
  readonly waits: Waits;
  readonly partitions?: Readonly<Record<string, Readonly<Record<'limit' | 'taken' | 'queued', number>>>>;
}

/** Slots and their queue, kept in this process for any number of pipelines, with what is counted about them. */
export class SharedSlots {
  readonly slots: Slots<Slot, Waiting>;
  readonly queueing: QueueSettings;
  /** What calls ask for, if they are not all alike. */
  readonly demand: Demand | undefined;
  readonly control: DelayControl | undefined;
  readonly flow: SlotFlow | undefined;
  readonly partitions: Partitions<Waiting> | undefined;
  readonly waits: WaitHistogram = new WaitHistogram();
  readonly audience: Audience = new Audience();
  /** Pipelines that hold it, once for each time. */
  mounts = 0;
  /** Calls turned away at once. */
  refused = 0;
  /** Calls that waited in vain for the longest time. */
  timedOut = 0;
  /** Calls let go at their turn, because the queue stood. */
  shed = 0;
  /** Calls that lost their place to one of a higher rank. */
  evicted = 0;

  constructor(limit: number, queueing: QueueSettings) {
    const line = lineMaker<Waiting>(queueing, () => this.slots.limit);
    this.queueing = queueing;
    this.partitions = queueing.partitions && new Partitions<Waiting>(queueing.partitions, limit, line);
    this.demand = Demand.differs(queueing) ? new Demand(queueing, this.partitions) : undefined;
    this.control = delayControlOf(queueing);
    this.flow = queueing.shed ? new SlotFlow() : undefined;
    const admit = (waiter: Waiting): boolean => waiter.way.admit(waiter);
    this.slots = new Slots<Slot, Waiting>(limit, queueing.maxQueue, admit, this.partitions ?? line(), this.partitions);
  }

  /** Calls that hold slots now. */
  get active(): number {
    return this.slots.active;
  }

  /** Calls waiting now. */
  get queued(): number {
    return this.slots.queued;
  }

  /** A pipeline mounts it, and is told what happens to it. */
  join(scope: Scope): void {
    this.mounts++;
    this.audience.add(scope);
  }

  /** Changes how many slots there are: more go to those who wait, in this tick; with fewer, nobody gets one until there is room. */
  setLimit(limit: number): void {
    this.slots.resize(limit, this.queueing.weight === 1 ? undefined : (waiter) => waiter.way.outgrow(waiter));
  }

  /** Whether most of the slots are taken. */
  strained(): boolean {
    return this.slots.taken + this.queued >= STRAIN * this.slots.limit;
  }

  reading(): SlotsReading {
    const { active, queued, refused, timedOut, shed, evicted } = this;
    const { oldest } = this.slots.line;
    const oldestWait = oldest?.way.waited(oldest) ?? 0;
    const reading = { active, taken: this.slots.taken, queued, oldestWait, refused, timedOut, shed, evicted, waits: this.waits.read() };
    if (this.partitions === undefined) return reading;
    const rows = this.partitions.all.map(({ name, limit, taken, waiting }) => [name, { limit, taken, queued: waiting }] as const);
    return { ...reading, partitions: Object.fromEntries(rows) };
  }
}
