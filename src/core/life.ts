import { Alarm } from './alarm.ts';
import { span } from './clock.ts';
import { Call, type Work } from './call.ts';
import { type CallSettings, noOptions } from './call-options.ts';
import { currentCall, present } from './context.ts';
import { DeadlineExceededError, ShutdownError, TimeoutError } from './errors.ts';
import { inFull } from './incoming.ts';
import { made } from './made.ts';
import { Failure, type Outcome, refuse } from './outcome.ts';
import { type GatePolicy, mountAlone } from './policy.ts';
import type { Scope } from './scope.ts';
import { owners } from './signals.ts';
import type { Gate, Narrowing } from './stage.ts';

/** The calls a pipeline has under way, and whether it still takes any. */
export class Life {
  readonly #scope: Scope;
  #newest: Call | undefined = undefined;
  #whenIdle: (() => void)[] = [];
  /** Calls under way. */
  active = 0;
  closed = false;

  constructor(scope: Scope) {
    this.#scope = scope;
  }

  /** Makes a call and opens the books on it. One that cannot start (aborted before, pipeline closed, no time left) is cut at once. */
  open(work: Work<unknown>, settings: CallSettings, waits: boolean): Call {
    const at = this.#scope.clock.now();
    const plain = settings === noOptions && present.call === undefined && !present.tracking;
    const maker = plain ? undefined : makerOf(settings);
    const call = new Call(this.#scope, work, settings, waits, at, plain ? Infinity : at + timeFor(settings, maker));
    if (maker !== undefined) {
      call.madeIn = maker;
      call.retrier = maker.retrier;
    }
    this.#add(call);
    if (this.closed) call.cut(this.refusal());
    if (plain || call.failure !== undefined) return call;
    call.follow();
    if (call.deadline <= at) call.cut(expired(call, at));
    else if (call.deadline !== Infinity) {
      call.alarm = new Alarm(this.#scope.clock, () => call.cut(expired(call, at)));
      call.alarm.set(call.deadline, at);
    }
    return call;
  }

  /** Closes the books on a call. */
  close(call: Call, outcome: Outcome): void {
    // An answer that is still coming in is under way: a deadline, an abort and the end of the pipeline cut it short.
    if (call.leftovers === undefined || !call.whenQuiet(() => this.#end(call, inFull(outcome)), true)) this.#end(call, outcome);
  }

  #end(call: Call, outcome: Outcome): void {
    call.alarm?.clear();
    call.unfollow();
    call.madeIn = undefined;
    this.#delete(call);
    if (this.#scope.listening) emitSettled(this.#scope, call, outcome);
  }

  #add(call: Call): void {
    const next = this.#newest;
    if (next !== undefined) {
      next.before = call;
      call.after = next;
    }
    this.#newest = call;
    this.active++;
  }

  #delete(call: Call): void {
    const { before, after } = call;
    if (before === undefined) this.#newest = after;
    else before.after = after;
    if (after !== undefined) after.before = before;
    call.before = call;
    this.active--;
    if (this.closed && this.active === 0) for (const tell of this.#whenIdle.splice(0)) tell();
  }

  /** What a call gets that comes too late. */
  refusal(): Failure {
    return refuse(made(ShutdownError, `${this.#scope.pipeline} is closed`, { pipeline: this.#scope.pipeline }, false));
  }

  /** Takes no more calls, waits for those under way, and after `drain` ms cuts what is left. */
  async end(drain: number): Promise<void> {
    this.closed = true;
    if (this.active === 0) return;
    await new Promise<void>((resolve) => {
      const alarm = new Alarm(this.#scope.clock, () => {
        for (let call = this.#newest; call !== undefined; call = call.after) call.cut(this.refusal());
        resolve();
      });
      this.#whenIdle.push(() => {
        alarm.clear();
        resolve();
      });
      const now = this.#scope.clock.now();
      alarm.set(now + drain, now);
    });
  }

  /** The same for calls that come through an outer pipeline: a gate in front of the nested one's policies. */
  policy(): GatePolicy {
    const gate: Gate<Narrowing> = {
      enter: (call) => {
        if (this.closed) return this.refusal();
        const inner = call.derive();
        this.#add(inner);
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
    this.#delete(call);
  }
}

/** The call in whose work a new one is made: whose work runs, or whose signal is passed on. Once that one is over, it has nothing to say. */
function makerOf({ signal }: CallSettings): Call | undefined {
  const maker = currentCall() ?? (signal === undefined ? undefined : (owners.get(signal) as Call | undefined));
  return maker === undefined || maker.root.over ? undefined : maker;
}

/** How long a new call may take, ms: what its caller allows, and what is left to the call in whose work it is made. */
function timeFor({ deadline }: CallSettings, maker: Call | undefined): number {
  if (maker === undefined || maker.deadline === Infinity || deadline === Infinity) return deadline ?? Infinity;
  return Math.min(deadline ?? Infinity, maker.remaining());
}

/** The call ran out of time: it never started, or it was abandoned. */
function expired(call: Call, since: number): Failure {
  const { scope, key, deadline } = call;
  const after = span(since, deadline);
  const details = { pipeline: scope.pipeline, key };
  if (call.started)
    return new Failure(new TimeoutError(`${scope.pipeline}: the deadline passed after ${after} ms`, { ...details, after }), 'timeout');
  return refuse(made(DeadlineExceededError, `${scope.pipeline}: the deadline passed before the work could start`, details, scope.stack));
}

function emitSettled(scope: Scope, call: Call, outcome: Outcome): void {
  const duration = scope.clock.now() - call.begun;
  if (outcome instanceof Failure) scope.emit('pipeline.settled', 'debug', call, { outcome: outcome.kind, duration, error: outcome.error });
  else scope.emit('pipeline.settled', 'debug', call, { outcome: call.degraded ? 'degraded' : 'success', duration });
}
