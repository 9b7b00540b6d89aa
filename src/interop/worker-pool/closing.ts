import { Alarm } from '../../core/alarm.ts';
import type { Call } from '../../core/call.ts';
import { systemClock } from '../../core/clock.ts';
import { ShutdownError } from '../../core/errors.ts';
import { made } from '../../core/made.ts';
import { type Failure, refuse } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';
import type { SharedSlots, Slot } from '../../stores/slots/shared-slots.ts';
import { SlotGate, type SlotWords } from '../../stores/slots/slot-gate.ts';

/** The end of slots: from then on they take no calls, and those that are left have some time to finish. */
export class Closing {
  readonly #shared: SharedSlots;
  #whenIdle: (() => void) | undefined = undefined;
  closed = false;

  constructor(shared: SharedSlots) {
    this.#shared = shared;
  }

  /** What a call gets that comes too late. */
  refusal({ key }: Call, pipeline: string | undefined, policy: string): Failure {
    const where = pipeline === undefined ? policy : `${pipeline}: ${policy}`;
    return refuse(made(ShutdownError, `${where} is closed`, { pipeline, policy, key }, false));
  }

  /** Takes no more calls, waits for those that are there, and after `drain` ms cuts what is left, waiting or running. */
  async end(drain: number, policy: string): Promise<void> {
    this.closed = true;
    if (this.#idle) return;
    await new Promise<void>((resolve) => {
      const alarm = new Alarm(systemClock, () => resolve());
      this.#whenIdle = () => {
        alarm.clear();
        resolve();
      };
      const now = systemClock.now();
      alarm.set(now + drain, now);
    });
    for (const call of this.#calls()) call.cut(this.refusal(call, undefined, policy));
  }

  /** A slot was given back. */
  released(): void {
    if (this.#idle) this.#whenIdle?.();
  }

  get #idle(): boolean {
    return this.#shared.active + this.#shared.queued === 0;
  }

  #calls(): readonly Call[] {
    const calls: Call[] = [];
    const add = ({ owner }: Slot): boolean => {
      calls.push(owner);
      return false;
    };
    this.#shared.slots.line.some(add);
    this.#shared.slots.someHolder(add);
    return calls;
  }
}

/** Slots that can be closed, as one pipeline sees them. */
export class ClosableGate extends SlotGate {
  readonly #closing: Closing;

  constructor(shared: SharedSlots, scope: Scope, words: SlotWords, closing: Closing) {
    super(shared, scope, words, 'work');
    this.#closing = closing;
  }

  override enter(call: Call, now: number): ReturnType<SlotGate['enter']> {
    if (!this.#closing.closed) return super.enter(call, now);
    return call.failure ?? this.#closing.refusal(call, this.scope.pipeline, this.scope.policy as string);
  }

  protected override release(slot: Slot): void {
    super.release(slot);
    this.#closing.released();
  }
}
