import type { Call } from './call.ts';
import type { Clock } from './clock.ts';
import { Alarm } from './alarm.ts';
import { ShutdownError, made } from './errors.ts';
import { type Failure, refuse } from './outcome.ts';
import { type GatePolicy, mountAlone } from './policy.ts';
import type { Gate, Narrowing } from './stage.ts';

/** The calls a pipeline has under way, and whether it still takes any. */
export class Life {
  readonly #pipeline: string;
  readonly #clock: Clock;
  #newest: Call | undefined = undefined;
  #whenIdle: (() => void)[] = [];
  /** Calls under way. */
  active = 0;
  closed = false;

  constructor(pipeline: string, clock: Clock) {
    this.#pipeline = pipeline;
    this.#clock = clock;
  }

  add(call: Call): void {
    const next = this.#newest;
    if (next !== undefined) {
      next.before = call;
      call.after = next;
    }
    this.#newest = call;
    this.active++;
  }

  delete(call: Call): void {
    const { before, after } = call;
    if (before === undefined) this.#newest = after;
    else before.after = after;
    if (after !== undefined) after.before = before;
    this.active--;
    if (this.closed && this.active === 0) for (const tell of this.#whenIdle.splice(0)) tell();
  }

  /** What a call gets that comes too late. */
  refusal(): Failure {
    return refuse(made(ShutdownError, `${this.#pipeline} is closed`, { pipeline: this.#pipeline }, false));
  }

  /** Takes no more calls, waits for those under way, and after `drain` ms cuts what is left. */
  async close(drain: number): Promise<void> {
    this.closed = true;
    if (this.active === 0) return;
    await new Promise<void>((resolve) => {
      const alarm = new Alarm(this.#clock, () => {
        for (let call = this.#newest; call !== undefined; call = call.after) call.cut(this.refusal());
        resolve();
      });
      this.#whenIdle.push(() => {
        alarm.clear();
        resolve();
      });
      const now = this.#clock.now();
      alarm.set(now + drain, now);
    });
  }

  /** The same for calls that come through an outer pipeline: a gate in front of the nested one's policies. */
  policy(): GatePolicy {
    const gate: Gate<Narrowing> = {
      enter: (call) => {
        if (this.closed) return this.refusal();
        const inner = call.derive();
        this.add(inner);
        return { inner };
      },
      settle: ({ inner }) => this.#leave(inner),
      cancel: ({ inner }) => this.#leave(inner),
      narrows: true,
    };
    const policy: GatePolicy = {
      kind: 'pipeline',
      gate: () => gate,
      mount: (next, scope) => mountAlone(policy, next, scope),
      snapshot: () => ({}),
      describe: () => ({}),
    };
    return policy;
  }

  #leave(call: Call): void {
    call.parent?.release(call);
    this.delete(call);
  }
}
