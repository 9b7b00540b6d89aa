import type { Linked } from '../algorithms/fifo.ts';
import type { Slots } from '../algorithms/slots.ts';
import { Audience } from '../core/audience.ts';
import type { Scope } from '../core/scope.ts';
import { STRAIN } from '../core/strain.ts';

/** Slots and their queue, kept in this process for any number of pipelines, with what is counted about them. */
export class SharedSlots<Held extends Linked, Waiting extends Held> {
  readonly slots: Slots<Held, Waiting>;
  readonly audience: Audience = new Audience();
  /** Pipelines that hold it, once for each time. */
  mounts = 0;
  /** Calls turned away at once. */
  refused = 0;
  /** Calls that waited in vain. */
  timedOut = 0;

  constructor(slots: Slots<Held, Waiting>) {
    this.slots = slots;
  }

  /** Slots taken now. */
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

  /** Whether most of the slots are taken. */
  strained(): boolean {
    return this.active + this.queued >= STRAIN * this.slots.limit;
  }
}
