import type { Alarm } from './alarm.ts';
import { idempotencyKeyOf } from './idempotency.ts';
import { asGentle, isGentle } from './gentle.ts';
import { owners, subscribe, unsubscribe, type Cancellable } from './signals.ts';
import type { Leftovers } from './leftovers.ts';
import { Failure, type Outcome } from './outcome.ts';
import type { Scope } from './scope.ts';
import type { CallSettings } from './call-options.ts';
import { MIDDLE, type Priority, drawnLevel, rankOf } from './priority.ts';

/** The user's function. It may be synchronous, return a promise or any thenable, and throw. */
export type Work<T> = (call: Call) => T | PromiseLike<T>;

/**
 * One execution on its way through a pipeline, and what the work gets as its argument. Policies derive a new one for what they run apart
 * (an attempt, a call under a timeout); cutting one short cuts all that derive from it.
 */
export class Call implements Cancellable {
  /** Which run of the work this is, from 1. */
  readonly attempt: number;
  /** When the call must be over, ms on the pipeline's clock; `Infinity` if never. */
  readonly deadline: number;
  /** The scope of the pipeline that was asked to execute. */
  readonly scope: Scope;
  readonly work: Work<unknown>;
  readonly parent: Call | undefined;
  /** False if the caller wants an answer now (`tryAcquire`): policies refuse instead of waiting. */
  readonly waits: boolean;
  /** When it began, ms on the pipeline's clock. */
  readonly begun: number;
  /** The latest reading of the clock on the way in, ms. Whoever waits reads it anew. */
  at: number;
  /** True once the work of this call, or of one derived from it, has begun. */
  started = false;
  /** True once a fallback answered instead of the work. */
  degraded = false;
  /** Set when the call is cut short: by its caller, its deadline or a timeout. */
  failure: Failure | undefined = undefined;
  /** Called when the call is cut short while somebody waits on its behalf; at most one at a time. */
  waiter: ((failure: Failure) => void) | undefined = undefined;
  /** Takes an outcome that arrived after the call was cut short; of the calls that have one, the innermost. */
  onLate: ((outcome: Outcome) => void) | undefined = undefined;
  /** The outermost retry that this call is made under, also if that is the retry of a call in whose work this one is made. */
  retrier: object | undefined = undefined;
  /** The call in whose work this one was made, if that is known (see `currentCall`). */
  madeIn: Call | undefined = undefined;
  /** Rings at the deadline, if there is one. */
  alarm: Alarm | undefined = undefined;
  /** Neighbours among the calls its pipeline has under way; one that is over has itself in front. */
  before: Call | undefined = undefined;
  after: Call | undefined = undefined;
  #options: CallSettings;
  #controller: AbortController | undefined = undefined;
  /** Calls derived from this one, linked through `#sibling`. */
  #child: Call | undefined = undefined;
  #sibling: Call | undefined = undefined;
  /** Work of this call that was left behind and still runs, and answers that are still coming in. */
  leftovers: Leftovers | undefined = undefined;

  /** @internal */
  constructor(
    scope: Scope,
    work: Work<unknown>,
    options: CallSettings,
    waits: boolean,
    at: number,
    deadline: number,
    attempt = 1,
    parent?: Call,
  ) {
    this.scope = scope;
    this.work = work;
    this.#options = options;
    this.waits = waits;
    this.begun = at;
    this.at = at;
    this.deadline = deadline;
    this.attempt = attempt;
    this.parent = parent;
  }

  /** What the call is about (tenant, host, user), for policies that keep state per key. */
  get key(): string | undefined {
    return this.#options.key;
  }

  /** What the call takes of rate limits that do not say so themselves. */
  get cost(): number {
    return this.#options.cost;
  }

  /** How much the call matters: what its caller says, or that of the call in whose work it is made. */
  get priority(): Priority {
    return this.#ranked.#options.priority ?? 'critical';
  }

  /** How much it matters among those of its class, 0 to 99. Where nobody says, it is drawn when first asked for. */
  get priorityLevel(): number {
    return this.#level ?? drawnLevel(this.#ranked, this.scope.random);
  }

  /** Class and level as one number, 0 to 499; of two calls the one of higher rank matters more. Where nobody says, the level is 50. */
  get rank(): number {
    return rankOf(this.priority, this.#level ?? MIDDLE);
  }

  get #level(): number | undefined {
    return this.root.#options.priorityLevel ?? this.#ranked.#options.priorityLevel;
  }

  /** The call whose class this one has. */
  get #ranked(): Call {
    const { root } = this;
    return root.#options.priority === undefined && root.madeIn !== undefined ? root.madeIn.#ranked : root;
  }

  /** Name of the operation, for events. */
  get operation(): string | undefined {
    return this.#options.operation;
  }

  /** Whether running the work twice does no harm; `undefined` if the caller did not say. */
  get idempotent(): boolean | undefined {
    return this.#options.idempotent;
  }

  /** One and the same for all attempts and hedges of a call, made when first asked for; the caller's own if there is one. */
  get idempotencyKey(): string {
    const { root } = this;
    return idempotencyKeyOf(root, root.#options.idempotencyKey, root.scope.random);
  }

  /** Which of the runs side by side this is: 0 is the first, the others are hedges. */
  get hedge(): number {
    return this.#options.hedge;
  }

  set hedge(hedge: number) {
    this.#options = { ...this.#options, hedge };
  }

  /** Headers that policies want sent along: what attempt this is, an idempotency key. Whoever sends the request merges them into its own. */
  get headers(): Readonly<Record<string, string>> {
    return this.#options.headers;
  }

  set headers(headers: Readonly<Record<string, string>>) {
    this.#options = { ...this.#options, headers: Object.freeze({ ...headers }) };
  }

  /** True once its pipeline has answered. */
  get over(): boolean {
    return this.before === this;
  }

  /** The call as its caller made it. */
  get root(): Call {
    let call: Call = this;
    while (call.parent !== undefined) call = call.parent;
    return call;
  }

  /** Whatever the caller wants to carry along. */
  get tags(): Readonly<Record<string, unknown>> {
    return this.#options.tags;
  }

  /** Aborts with the caller's reason, or with a `TimeoutError`. Made on first use: not reading it saves its cost. */
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      owners.set(this.#controller.signal, this);
      if (this.failure !== undefined) this.#controller.abort(this.failure.error);
    }
    return this.#controller.signal;
  }

  /** Milliseconds left until the deadline, never negative; `Infinity` without one. */
  get remaining(): () => number {
    return () => (this.deadline === Infinity ? Infinity : Math.max(0, this.deadline - this.scope.clock.now()));
  }

  /** A call of its own for one more attempt, or for what runs under a tighter deadline. */
  derive(attempt: number = this.attempt, deadline: number = this.deadline, work: Work<unknown> = this.work): Call {
    const child = new Call(this.scope, work, this.#options, this.waits, this.at, Math.min(deadline, this.deadline), attempt, this);
    child.failure = this.failure;
    child.retrier = this.retrier;
    child.#sibling = this.#child;
    this.#child = child;
    return child;
  }

  /** Lets go of a derived call that is over. */
  release(child: Call): void {
    let before = this.#child === child ? undefined : this.#child;
    while (before !== undefined && before.#sibling !== child) before = before.#sibling;
    if (before !== undefined) before.#sibling = child.#sibling;
    else if (this.#child === child) this.#child = child.#sibling;
  }

  /** The caller gave up: everything that waits on behalf of this call ends now, with that very reason. */
  cancel(reason: unknown): void {
    this.cut(new Failure(reason, 'aborted'));
  }

  /** As `cut`, but work that runs may go on and answer: its signal aborts, waits end, and nothing new begins. A `cut` may follow. */
  windDown(failure: Failure): void {
    this.cut(asGentle(failure));
  }

  /** Cuts the call and all that derive from it short; the first cut stands. */
  cut(failure: Failure): void {
    if (this.failure !== undefined && (!isGentle(this.failure) || isGentle(failure))) return;
    this.failure = failure;
    const waiter = this.waiter;
    this.waiter = undefined;
    waiter?.(failure);
    this.#controller?.abort(failure.error);
    for (let child = this.#child; child !== undefined; child = child.#sibling) child.cut(failure);
  }

  /** Marks the work as begun, here and in the calls this one derives from. */
  markStarted(): void {
    for (let call: Call | undefined = this; call !== undefined && !call.started; call = call.parent) call.started = true;
  }

  /** Marks the answer as a lesser one, here and in the calls this one derives from. */
  markDegraded(): void {
    for (let call: Call | undefined = this; call !== undefined; call = call.parent) call.degraded = true;
  }

  /** Of all attempts the answer of this one counts: what it is flagged as, the calls that it derives from are. */
  prevail(): void {
    for (let call = this.parent; call !== undefined; call = call.parent) call.degraded = this.degraded;
  }

  /** Whether something can cut this call short while its work runs. */
  get cuttable(): boolean {
    return this.parent !== undefined || this.#options.signal !== undefined || this.deadline !== Infinity;
  }

  /** Starts to follow the caller's signal; one that has aborted already cuts the call. */
  follow(): void {
    const { signal } = this.#options;
    if (signal === undefined) return;
    if (signal.aborted) this.cancel(signal.reason);
    else subscribe(signal, this);
  }

  /** Stops following it. */
  unfollow(): void {
    if (this.#options.signal !== undefined) unsubscribe(this.#options.signal, this);
  }

  /** Runs `then` once no abandoned work of this call is left, or no answer still coming in; answers false (and forgets `then`) if there is none. */
  whenQuiet(then: () => void, incoming = false): boolean {
    return this.leftovers?.whenQuiet(then, incoming) ?? false;
  }
}
