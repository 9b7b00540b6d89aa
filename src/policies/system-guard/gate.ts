/** A guard in its place in one pipeline. */

import { Alarm } from '../../core/alarm.ts';
import type { Call } from '../../core/call.ts';
import { span } from '../../core/clock.ts';
import { DeadlineExceededError, OverloadedError, TimeoutError } from '../../core/errors.ts';
import { made } from '../../core/made.ts';
import { Failure, type Outcome, refuse } from '../../core/outcome.ts';
import { drawnRankOf } from '../../core/priority.ts';
import type { Scope } from '../../core/scope.ts';
import type { Gate, Narrowing } from '../../core/stage.ts';
import type { Pressure } from './pressure.ts';
import type { Stages } from './stages.ts';
import type { Watch } from './watch.ts';

/** What a gate needs of its guard. */
export interface GuardAtWork {
  readonly pressure: Pressure;
  readonly stages: Stages;
  /** What a refusal says, ms. */
  readonly retryAfter: number;
  readonly watch: Watch;
  /** Calls turned away. */
  refused: number;
}

/** What a call holds of a guard. */
export class GuardPass implements Narrowing {
  readonly inner: Call;
  readonly since: number;
  /** Rings when a deadline is over that the guard has shortened. */
  alarm: Alarm | undefined = undefined;

  constructor(inner: Call, since: number) {
    this.inner = inner;
    this.since = since;
  }
}

/** The gate of a guard. */
export class SystemGuardGate implements Gate<GuardPass> {
  readonly narrows = true;
  readonly #guard: GuardAtWork;
  readonly #scope: Scope;

  constructor(guard: GuardAtWork, scope: Scope) {
    this.#guard = guard;
    this.#scope = scope;
  }

  enter(call: Call, now: number): GuardPass | Failure {
    const guard = this.#guard;
    const at = guard.watch.timeOf(this.#scope, now);
    const load = guard.watch.assess(at);
    if (load >= guard.stages.first || guard.pressure.isBusy(at, guard.stages.first)) return this.#press(call, now, at, load);
    guard.pressure.begin(at);
    return new GuardPass(call, at);
  }

  settle(pass: GuardPass, outcome: Outcome, now: number): void {
    const { pressure } = this.#guard;
    pressure.end(pass.since, outcome, this.#guard.watch.timeOf(this.#scope, now));
    if (pass.alarm !== undefined) this.#leave(pass);
  }

  cancel(pass: GuardPass): void {
    this.#guard.pressure.drop(pass.since);
    if (pass.alarm !== undefined) this.#leave(pass);
  }

  /** A call that comes under load: it is refused, or goes on with less. */
  #press(call: Call, now: number, at: number, general: number): GuardPass | Failure {
    const { pressure, stages } = this.#guard;
    const rank = drawnRankOf(call);
    const share = stages.shareOf(rank);
    const load = share === 1 ? general : Math.max(general, pressure.effective(at, stages.first, share));
    const below = stages.refusedBelow(load);
    if (rank < below) return this.#refuse(call, at, load);
    pressure.begin(at);
    if (this.#scope.shadow) return new GuardPass(call, at);
    const patience = call.deadline === Infinity ? 1 : stages.patience(load);
    const spares = stages.spares(load) && call.retrier === undefined;
    if (patience === 1 && !spares) return new GuardPass(call, at);
    const remaining = call.deadline - now;
    const inner = call.derive(call.attempt, patience === 1 ? call.deadline : now + patience * remaining);
    // Whoever retries inside finds that somebody else answers for it.
    if (spares) inner.retrier = this.#guard;
    const pass = new GuardPass(inner, at);
    if (patience < 1) this.#limit(pass, now, remaining);
    return pass;
  }

  #limit(pass: GuardPass, now: number, remaining: number): void {
    const { inner } = pass;
    const to = span(now, inner.deadline);
    pass.alarm = new Alarm(this.#scope.clock, () => inner.cut(this.#expired(inner, to)));
    pass.alarm.set(inner.deadline, now);
    if (this.#scope.listening) this.#scope.emit('system-guard.tightened', 'debug', inner, { from: span(0, remaining), to });
  }

  #leave({ inner, alarm }: GuardPass): void {
    alarm?.clear();
    inner.parent?.release(inner);
  }

  #expired(inner: Call, after: number): Failure {
    const { pipeline, policy, stack } = this.#scope;
    const details = { pipeline, policy, key: inner.key };
    const message = `${pipeline}: ${policy} has shortened the deadline to ${after} ms, as the process is under load`;
    if (inner.started) return new Failure(made(TimeoutError, message, { ...details, after, started: true }, stack), 'timeout');
    return refuse(made(DeadlineExceededError, `${message}, and it passed before the work could start`, details, stack));
  }

  #refuse(call: Call, at: number, load: number): Failure {
    const { pressure, retryAfter } = this.#guard;
    const { pipeline, policy, stack } = this.#scope;
    const sheds = load < 1 ? `; ${call.priority} calls are shed from ${Math.round(load * 100)} % of it` : '';
    this.#guard.refused++;
    return refuse(
      made(
        OverloadedError,
        `${pipeline}: ${policy}: ${pressure.reason(at)}${sheds}`,
        { pipeline, policy, key: call.key, retryAfter },
        stack,
      ),
    );
  }
}
