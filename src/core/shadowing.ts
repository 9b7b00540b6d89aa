import type { Call } from './call.ts';
import { type Mode, type ModeName, modeOf } from './mode.ts';
import { Failure, type Outcome, errorIn, retryAfterOf } from './outcome.ts';
import type { Handler } from './policy.ts';
import type { Scope } from './scope.ts';
import type { Gate, Narrowing, Reaction } from './stage.ts';

/** Makes what stands in a pipeline for one scope: a gate, a reaction, a handler. */
type Maker<T> = (scope: Scope) => T;

/**
 * A gate that does not always enforce. There are two of it, on one state: one that acts, and one for calls that are only shadowed, whose events say so. A shadowed call goes
 * on whatever the gate answers; the gate meets a derived call of its own instead, which can wait in its queue or run into its timeout without anybody noticing.
 */
export class ModedGate implements Gate<ModedPass> {
  readonly narrows = true;
  readonly until: Gate['until'];
  readonly timeless: boolean;
  readonly #mode: Mode;
  readonly #scope: Scope;
  readonly #enforcing: Gate;
  readonly #shadow: Gate;

  constructor(mode: Mode, make: Maker<Gate>, scope: Scope) {
    this.#mode = mode;
    this.#scope = scope.inShadow();
    this.#shadow = make(this.#scope);
    // Where it never enforces, everything that it tells is told as a shadow's.
    this.#enforcing = mode === 'shadow' ? this.#shadow : make(scope);
    this.until = this.#enforcing.until;
    this.timeless = this.#enforcing.timeless === true;
  }

  enter(call: Call, now: number): ModedPass | Failure | Promise<ModedPass | Failure> {
    const mode = modeOf(this.#mode, call, this.#scope);
    if (mode === 'off') return new ModedPass(call, undefined);
    if (mode === 'shadow') return this.#enterShadow(call, now);
    const pass = this.#enforcing.enter(call, now);
    return pass instanceof Promise ? pass.then((late) => this.#passOf(call, late)) : this.#passOf(call, pass);
  }

  settle(moded: ModedPass, outcome: Outcome, now: number): void {
    if (moded.gate !== undefined) moded.gate.settle(moded.pass, outcome, now);
    moded.ghost?.end((gate, pass) => gate.settle(pass, outcome, now));
  }

  cancel(moded: ModedPass, now: number): void {
    if (moded.gate !== undefined) moded.gate.cancel(moded.pass, now);
    moded.ghost?.end((gate, pass) => gate.cancel(pass, now));
  }

  #passOf(call: Call, pass: unknown): ModedPass | Failure {
    if (pass instanceof Failure) return pass;
    const inner = this.#enforcing.narrows === true ? (pass as Narrowing).inner : call;
    return new ModedPass(inner, undefined, this.#enforcing, pass);
  }

  #enterShadow(call: Call, now: number): ModedPass {
    const ghost = new Ghost(call, this.#shadow, this.#scope);
    ghost.enter(now);
    return new ModedPass(call, ghost);
  }
}

/** What a call holds of a gate with a mode: the gate's own pass, or a ghost, or nothing. */
class ModedPass implements Narrowing {
  readonly inner: Call;
  readonly ghost: Ghost | undefined;
  readonly gate: Gate | undefined;
  readonly pass: unknown;

  constructor(inner: Call, ghost: Ghost | undefined, gate?: Gate, pass?: unknown) {
    this.inner = inner;
    this.ghost = ghost;
    this.gate = gate;
    this.pass = pass;
  }
}

/** A call as a shadowing gate meets it. */
class Ghost {
  readonly #call: Call;
  readonly #own: Call;
  readonly #gate: Gate;
  readonly #scope: Scope;
  #pass: { readonly held: unknown } | undefined = undefined;
  #over = false;

  constructor(call: Call, gate: Gate, scope: Scope) {
    this.#call = call;
    this.#own = call.derive();
    this.#gate = gate;
    this.#scope = scope;
  }

  enter(now: number): void {
    let answer: unknown;
    try {
      answer = this.#gate.enter(this.#own, now);
    } catch (error) {
      this.#scope.report('enter', error);
      return;
    }
    if (!(answer instanceof Promise)) this.#arrive(answer);
    else {
      if (this.#scope.listening) this.#scope.emit('gate.would-wait', 'info', this.#call, {});
      answer.then(
        (pass) => this.#arrive(pass),
        (error: unknown) => this.#scope.report('enter', error),
      );
    }
  }

  /** The call is over: so is what its ghost holds, or waits for. */
  end(tell: (gate: Gate, pass: unknown) => void): void {
    this.#over = true;
    this.#own.degraded = this.#call.degraded;
    this.#own.leftovers = this.#call.leftovers;
    if (this.#pass === undefined) this.#own.cancel(undefined);
    else tell(this.#gate, this.#pass.held);
    this.#call.release(this.#own);
  }

  #arrive(answer: unknown): void {
    this.#own.waiter = undefined;
    if (!(answer instanceof Failure)) {
      if (this.#over) this.#gate.cancel(answer, this.#scope.clock.now());
      else this.#pass = { held: answer };
    } else if (answer.kind === 'refused' && this.#scope.listening) {
      const { error } = answer;
      this.#scope.emit('gate.would-refuse', 'info', this.#call, { error, retryAfter: retryAfterOf(error) });
    }
  }
}

/**
 * A reaction that does not always act. Where it wants to know of calls on their way in, there are two of it, as of a gate, and the mode is asked there; else only once there is
 * something to do.
 */
export class ModedReaction implements Reaction {
  readonly #mode: Mode;
  readonly #scope: Scope;
  readonly #acting: Reaction;
  readonly #shadow: Reaction;
  /** What the mode came to for calls that are under way. */
  readonly #modes = new WeakMap<Call, ModeName>();
  begin?: (call: Call) => void;

  constructor(mode: Mode, make: Maker<Reaction>, scope: Scope) {
    this.#mode = mode;
    this.#scope = scope.inShadow();
    this.#acting = make(mode === 'shadow' ? this.#scope : scope);
    if (this.#acting.begin === undefined || mode === 'off') {
      this.#shadow = this.#acting;
      return;
    }
    this.#shadow = mode === 'shadow' ? this.#acting : make(this.#scope);
    this.begin = (call) => {
      const name = modeOf(mode, call, this.#scope);
      this.#modes.set(call, name);
      if (name !== 'off') this.#of(name).begin?.(call);
    };
  }

  handles(outcome: Outcome, call: Call): boolean {
    if (this.#mode === 'off') return false;
    const known = this.#modes.get(call);
    if (known === 'off') return false;
    const reaction = this.#of(known);
    if (!reaction.handles(outcome, call)) return false;
    const mode = known ?? modeOf(this.#mode, call, this.#scope);
    if (mode === 'enforce') return true;
    const error = errorIn(outcome);
    if (mode === 'shadow' && this.#scope.listening) this.#scope.emit('reaction.would-act', 'info', call, { error });
    reaction.passOver?.(outcome, call);
    return false;
  }

  react(outcome: Outcome, call: Call, again: Handler): Outcome | Promise<Outcome> {
    return this.#acting.react(outcome, call, again);
  }

  #of(mode: ModeName | undefined): Reaction {
    return mode === 'shadow' ? this.#shadow : this.#acting;
  }
}

/** A handler that does not always act: a driver that is shadowed finds `scope.shadow` set and only tells. */
export function modedHandler(mode: Mode, make: Maker<Handler>, next: Handler, scope: Scope): Handler {
  if (mode === 'off') return next;
  const shadowed = scope.inShadow();
  const shadow = make(shadowed);
  const acting = mode === 'shadow' ? shadow : make(scope);
  return (call) => {
    const name = modeOf(mode, call, shadowed);
    return name === 'off' ? next(call) : name === 'shadow' ? shadow(call) : acting(call);
  };
}
