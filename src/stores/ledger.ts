import type { Meter, Portable } from '../algorithms/meters/meter.ts';
import { Rows } from '../algorithms/rows.ts';
import { quotasOf } from '../core/allowance.ts';
import type { Call } from '../core/call.ts';
import { Kept } from '../core/kept.ts';
import { Failure, type Outcome } from '../core/outcome.ts';
import type { GatePolicy } from '../core/policy.ts';
import type { Quota } from '../core/quota.ts';
import type { Scope } from '../core/scope.ts';
import type { Narrowing } from '../core/stage.ts';
import { strainedAmong } from '../core/strain.ts';
import { LimiterGate } from './limiter/limiter-gate.ts';
import { SharedLimiter } from './limiter/shared-limiter.ts';

/** A limiter of which its law and some numbers are all that there is. */
type Plain = SharedLimiter<Meter<unknown> & Portable, unknown, unknown>;

/** In a row: when it was last asked for (ms), its calls that are not settled, and from there on the state of the meter. */
const SEEN = 0;
const CALLS = 1;
const STATE = 2;
/** No row. */
const NONE = -1;

/** Whether a policy is a rate limiter that lets calls pass or refuses them, and has a state that can be written down. */
function isPlain(policy: GatePolicy): boolean {
  if (!(policy instanceof SharedLimiter)) return false;
  const { meter, terms } = policy as Plain;
  const { maxWait, borrow, refundIf, refundOnAbort } = terms;
  // Refunds long after a call was let in take more memory than a row has.
  return maxWait === 0 && borrow === undefined && refundIf === undefined && !refundOnAbort && meter.width > 0;
}

/** A ledger for policies like this one, which nobody else may hold; none if it keeps more than numbers, or its gate does more than to ask the meter. */
export function ledgerFor<Child extends GatePolicy>(policy: Child, scope: Scope, now: number): Ledger<Child> | undefined {
  if (!isPlain(policy)) return undefined;
  const standIn = new Kept(policy, scope, now);
  return standIn.gate.constructor === LimiterGate ? new Ledger(standIn) : undefined;
}

/**
 * The states of many rate limiters of one law, a row of numbers for each. One limiter stands in for all of them: for each call it takes on the state of the
 * row that the call is about, and that is written down again before anybody else has a turn.
 *
 * A row can be given a policy of its own; from then on that is asked.
 */
export class Ledger<Child extends GatePolicy> {
  readonly #standIn: Kept<Child>;
  readonly #limiter: Plain;
  readonly #rows: Rows;
  readonly #own = new Map<number, Kept<Child>>();
  /** The row whose state the stand-in has now. A user's function that it asks may make another call meanwhile. */
  #row = NONE;

  constructor(standIn: Kept<Child>) {
    this.#standIn = standIn;
    this.#limiter = standIn.policy as unknown as Plain;
    this.#rows = new Rows(STATE + this.#limiter.meter.width);
  }

  /** How many rows there are. */
  get size(): number {
    return this.#rows.size;
  }

  /** Whether a policy made for this scope would be like all here: it has the same law, and reads the same clock. */
  suits(policy: GatePolicy, { clock }: Scope): boolean {
    return clock === this.#standIn.scope.clock && policy.kind === this.#limiter.kind && isPlain(policy) && this.#hasSameTerms(policy);
  }

  /** A row for a policy that suits and was not used yet. */
  open(policy: GatePolicy, scope: Scope, now: number): number {
    const limiter = policy as unknown as Plain;
    limiter.join(scope);
    const row = this.#rows.add();
    const at = this.#rows.offset(row);
    const numbers = this.#rows.numbers(row);
    numbers[at + SEEN] = now;
    numbers[at + CALLS] = 0;
    limiter.meter.save(numbers, at + STATE);
    return row;
  }

  close(row: number): void {
    this.#own.delete(row);
    this.#rows.remove(row);
  }

  seen(row: number): number {
    return this.#rows.numbers(row)[this.#rows.offset(row) + SEEN] as number;
  }

  see(row: number, now: number): void {
    this.#rows.numbers(row)[this.#rows.offset(row) + SEEN] = now;
  }

  /** Takes a call through the gate of this row. */
  enter(row: number, call: Call, scope: Scope, now: number): RowPass | Failure | ReturnType<Kept['enter']> {
    const own = this.ownOf(row);
    if (own !== undefined) return own.enter(call, scope, now);
    const gate = this.#standIn.gateIn(scope);
    this.#count(row, 1);
    let entered = false;
    const before = this.#begin(row);
    try {
      const pass = gate.enter(call, now);
      if (pass instanceof Failure) return pass;
      entered = true;
      return new RowPass(this, row, scope, pass, call);
    } finally {
      this.#end(row, before);
      if (!entered) this.#count(row, -1);
    }
  }

  /** Tells the gate of a pass that the work ran, or that it did not. */
  tell({ row, scope, pass }: RowPass, ran: boolean, outcome: Outcome): void {
    const own = this.ownOf(row);
    const gate = (own ?? this.#standIn).gateIn(scope);
    const before = own === undefined ? this.#begin(row) : NONE;
    try {
      if (ran) gate.settle(pass, outcome, 0);
      else gate.cancel(pass, 0);
    } finally {
      if (own === undefined) this.#end(row, before);
      this.#count(row, -1);
    }
  }

  /** Whether a new row would be the same. */
  isAtRest(row: number, now: number): boolean {
    if ((this.#rows.numbers(row)[this.#rows.offset(row) + CALLS] as number) > 0) return false;
    const own = this.ownOf(row);
    if (own !== undefined) return own.calls === 0 && (own.policy as unknown as Plain).atRest(now);
    return this.#as(row, () => this.#limiter.atRest(now));
  }

  isStrained(row: number, call: Call): boolean {
    const own = this.ownOf(row);
    if (own !== undefined) return strainedAmong([own.policy], call) !== undefined;
    return this.#as(row, () => strainedAmong([this.#standIn.policy], call) !== undefined);
  }

  quotas(row: number, name: string, now: number): readonly Quota[] {
    const own = this.ownOf(row);
    return own === undefined
      ? this.#as(row, () => quotasOf(this.#standIn.policy, undefined, name, now))
      : quotasOf(own.policy, undefined, name, now);
  }

  /** What was given to this row. */
  ownOf(row: number): Kept<Child> | undefined {
    return this.#own.size === 0 ? undefined : this.#own.get(row);
  }

  /** The policy that this row was given; if it has none yet one that `make` makes, unless that is of another kind. Nobody else may hold it. */
  policyOf(row: number, make: () => Child): Child | undefined {
    const own = this.ownOf(row);
    if (own !== undefined) return own.policy;
    const policy = make();
    if (policy.kind !== this.#limiter.kind || !isPlain(policy)) return undefined;
    if (this.#row === row) this.#save();
    const kept = new Kept(policy, this.#standIn.scope, this.seen(row));
    this.#show(row, policy);
    this.#own.set(row, kept);
    return policy;
  }

  #hasSameTerms(policy: GatePolicy): boolean {
    const mine = this.#limiter.terms as unknown as Readonly<Record<string, unknown>>;
    const theirs = (policy as unknown as Plain).terms as unknown as typeof mine;
    return mine === theirs || Object.keys(theirs).every((name) => mine[name] === theirs[name]);
  }

  #count(row: number, calls: number): void {
    const numbers = this.#rows.numbers(row);
    const at = this.#rows.offset(row) + CALLS;
    numbers[at] = (numbers[at] as number) + calls;
  }

  /** Asks the stand-in as if it were of this row. */
  #as<Answer>(row: number, ask: () => Answer): Answer {
    const before = this.#begin(row);
    try {
      return ask();
    } finally {
      this.#end(row, before);
    }
  }

  /** The stand-in takes on the state of this row; answers with the row whose state it had. */
  #begin(row: number): number {
    const before = this.#row;
    if (before !== NONE) this.#save();
    this.#load(row);
    return before;
  }

  #end(row: number, before: number): void {
    this.#save();
    this.#row = NONE;
    const own = this.ownOf(row);
    if (own !== undefined) this.#show(row, own.policy); // given by a function of the user's meanwhile
    if (before !== NONE) this.#load(before);
  }

  #load(row: number): void {
    this.#row = row;
    this.#limiter.meter.load(this.#rows.numbers(row), this.#rows.offset(row) + STATE);
  }

  #save(): void {
    const row = this.#row;
    this.#limiter.meter.save(this.#rows.numbers(row), this.#rows.offset(row) + STATE);
  }

  #show(row: number, policy: GatePolicy): void {
    (policy as unknown as Plain).meter.load(this.#rows.numbers(row), this.#rows.offset(row) + STATE);
  }
}

/** A pass through the gate of a row, and the call as it goes on inward. */
export class RowPass implements Narrowing {
  readonly row: number;
  readonly scope: Scope;
  readonly pass: unknown;
  readonly inner: Call;
  readonly #ledger: Ledger<GatePolicy>;

  constructor(ledger: Ledger<GatePolicy>, row: number, scope: Scope, pass: unknown, call: Call) {
    this.#ledger = ledger;
    this.row = row;
    this.scope = scope;
    this.pass = pass;
    this.inner = call;
  }

  settle(outcome: Outcome): void {
    this.#ledger.tell(this, true, outcome);
  }

  cancel(): void {
    this.#ledger.tell(this, false, undefined);
  }
}
