import type { Call } from '../../core/call.ts';
import { classify } from '../../core/classification.ts';
import { Failure, type Outcome } from '../../core/outcome.ts';
import type { Scope } from '../../core/scope.ts';
import type { Gate, Reaction } from '../../core/stage.ts';
import type { Board } from '../../stores/switchboard/board.ts';
import type { FeatureSwitch } from '../../stores/switchboard/feature-switch.ts';
import type { Way } from './lesser-level.ts';
import { type Tier, causedBy } from '../../stores/tier.ts';

/** Says no to a call, at a level; `cause` is what became of the levels before it. */
export type Refusal = (call: Call, scope: Scope, cause: unknown) => Failure;

/** Between the gate and the reaction just outside it: this call is not for the work. Nobody else gets to see it. */
class Diverted extends Failure {
  readonly index: number;
  readonly epoch: number;

  constructor(index: number, epoch: number) {
    super(undefined, 'thrown');
    this.index = index;
    this.epoch = epoch;
  }
}

/** A call whose work runs while somebody wants to know how it fares, or at a lesser level. */
class Served {
  readonly call: Call;
  readonly index: number;
  readonly epoch: number;

  constructor(call: Call, { index, epoch }: FeatureSwitch) {
    this.call = call;
    this.index = index;
    this.epoch = epoch;
  }
}

/** The pass of a call that nobody needs to hear of again. */
const full = 'full';

/** What a switch is for one policy: it knows what a call gets at each level. */
export class FeatureService {
  readonly feature: FeatureSwitch;
  readonly board: Board;
  readonly ways: readonly Way[];
  readonly refusal: Refusal;

  constructor(feature: FeatureSwitch, board: Board, ways: readonly Way[], refusal: Refusal) {
    this.feature = feature;
    this.board = board;
    this.ways = ways;
    this.refusal = refusal;
  }

  /** Whether a level answers in place of the work, which takes more than a gate. */
  get answers(): boolean {
    return this.ways.some((way) => typeof way === 'object');
  }

  /** Counts how a call fared for the automatic, if it began at the level that stands and nobody else decides on that. */
  record(failed: boolean, timedOut: boolean, epoch: number): void {
    const { automatic, cause, epoch: current } = this.feature;
    if (automatic === undefined || epoch !== current || (cause !== 'none' && cause !== 'automatic')) return;
    automatic.record(failed, timedOut, this.board.now());
    if (failed) this.board.look(this.feature);
  }
}

/** Lets calls at full pass, and sends the others where their level says. With `onlyShows` it tells what it would do. */
export class ServiceGate implements Gate<Served | string> {
  readonly timeless = true;
  readonly #service: FeatureService;
  readonly #feature: FeatureSwitch;
  readonly #board: Board;
  readonly #scope: Scope;
  readonly #onlyShows: boolean;

  constructor(service: FeatureService, scope: Scope, onlyShows: boolean) {
    this.#service = service;
    this.#feature = service.feature;
    this.#board = service.board;
    this.#scope = scope;
    this.#onlyShows = onlyShows;
  }

  enter(call: Call): Served | string | Failure {
    const feature = this.#feature;
    if (feature.automatic !== undefined || this.#board.timed) this.#board.look(feature);
    const { index } = feature;
    if (index === 0) return feature.automatic === undefined ? full : new Served(call, feature);
    const way = this.#service.ways[index] as Way;
    if (this.#onlyShows) return this.#show(way, call);
    if (way === 'work') return new Served(call, feature);
    return way === 'refusal' ? this.#service.refusal(call, this.#scope, undefined) : new Diverted(index, feature.epoch);
  }

  settle(pass: Served | string, outcome: Outcome): void {
    if (typeof pass === 'string') return;
    const { call, index, epoch } = pass;
    if (this.#feature.automatic !== undefined) {
      const { verdict, timeout } = classify(outcome, call, this.#scope);
      if (verdict !== 'ignored') this.#service.record(verdict === 'failure', timeout, epoch);
    }
    if (index === 0 || outcome instanceof Failure || this.#scope.shadow) return;
    // The work did less; policies further in have taken it for what it is.
    call.markDegraded();
    tellServed(this.#service, index, call, this.#scope);
  }

  cancel(): void {
    // A call whose work never ran says nothing about the feature.
  }

  #show(way: Way, call: Call): string | Failure {
    const scope = this.#scope;
    if (way !== 'refusal') tellServed(this.#service, this.#feature.index, call, scope);
    else if (scope.listening) {
      const { error } = this.#service.refusal(call, scope, undefined);
      scope.emit('gate.would-refuse', 'info', call, { error });
    }
    return full;
  }
}

/** Answers the calls that the gate just inside sends back. */
export class ServiceReaction implements Reaction {
  readonly #service: FeatureService;
  readonly #scope: Scope;

  constructor(service: FeatureService, scope: Scope) {
    this.#service = service;
    this.#scope = scope;
  }

  handles(outcome: Outcome): boolean {
    return outcome instanceof Diverted;
  }

  react(outcome: Outcome, call: Call): Outcome | Promise<Outcome> {
    const { index, epoch } = outcome as Diverted;
    return this.#from(index, undefined, call, epoch);
  }

  /** Tries the levels from this one down; `last` is how the one before failed. */
  #from(start: number, last: Failure | undefined, call: Call, epoch: number): Outcome | Promise<Outcome> {
    const { ways } = this.#service;
    if (call.failure?.kind === 'aborted') return call.failure;
    for (let index = start; index < ways.length; index++) {
      const way = ways[index] as Way;
      if (typeof way !== 'object') {
        if (way === 'refusal') break;
        continue;
      }
      if (!way.runs) return this.#served(way, index, way.settings.value, call);
      if (call.failure !== undefined) continue;
      if (!way.full) return this.#run(way, index, last, call, epoch);
      this.#skipped(way, call);
    }
    if (last !== undefined && call.failure === last) return last;
    return ways.at(-1) === 'refusal' || last === undefined ? this.#service.refusal(call, this.#scope, last?.error) : last;
  }

  async #run(tier: Tier, index: number, before: Failure | undefined, call: Call, epoch: number): Promise<Outcome> {
    const found = await tier.find(before?.error, call, this.#scope);
    if (!(found instanceof Failure)) {
      this.#service.record(false, false, epoch);
      return this.#served(tier, index, found, call);
    }
    if (found.kind === 'aborted') return found;
    if (found !== call.failure) {
      this.#service.record(true, found.kind === 'timeout', epoch);
      this.#failed(tier, found, before, call);
    }
    return this.#from(index + 1, found, call, epoch);
  }

  #served(tier: Tier, index: number, answer: unknown, call: Call): unknown {
    tier.used++;
    call.markDegraded();
    tellServed(this.#service, index, call, this.#scope);
    return answer;
  }

  #failed(tier: Tier, { error }: Failure, before: Failure | undefined, call: Call): void {
    tier.failed++;
    causedBy(error, before?.error);
    const { feature } = this.#service.feature;
    if (this.#scope.listening) this.#scope.emit('degrade.failed', 'error', call, { feature, served: tier.name, error });
  }

  #skipped(tier: Tier, call: Call): void {
    tier.skipped++;
    const { feature } = this.#service.feature;
    const { name: served, running } = tier;
    if (this.#scope.listening) this.#scope.emit('degrade.skipped', 'warn', call, { feature, served, running });
  }
}

function tellServed({ feature }: FeatureService, index: number, call: Call, scope: Scope): void {
  if (scope.listening) scope.emit('degrade.served', 'info', call, { feature: feature.feature, served: feature.levels[index] });
}
