import type { Call } from './call.ts';
import { Failure, type Outcome, thrown } from './outcome.ts';
import type { Place } from './place.ts';
import type { Narrowing } from './stage.ts';

/** One call's way through the places of a frame: how far it has come, and with which passes. */
export class Passage {
  readonly call: Call;
  /** The call as it goes on inward. */
  inner: Call;
  readonly places: readonly Place[];
  /** For a gate its pass, for a reaction the call as it was there. */
  readonly passes: unknown[];
  /** Places entered and not told of the outcome yet. */
  depth = 0;

  constructor(places: readonly Place[], call: Call) {
    this.places = places;
    this.passes = places.length === 0 ? none : new Array<unknown>(places.length);
    this.call = call;
    this.inner = call;
  }

  /** Enters the places that are left: `undefined` when all are behind, a failure if one refused, a promise if one makes the call wait. */
  advance(): undefined | Failure | Promise<undefined | Failure> {
    const { places, passes } = this;
    let { inner } = this;
    for (let i = this.depth; i < places.length; i++) {
      if (inner.failure !== undefined) {
        this.depth = i;
        return inner.failure;
      }
      const place = places[i] as Place;
      if (!place.isGate) {
        passes[i] = inner;
        if (place.begins) place.begin(inner);
        continue;
      }
      const pass = place.enter(inner);
      if (typeof pass === 'object') {
        this.depth = i;
        if (pass instanceof Failure) return refused(place, pass, this.call);
        if (pass instanceof Promise) return this.wait(place, pass);
      }
      passes[i] = pass;
      if (place.narrows) inner = this.inner = (pass as Narrowing).inner;
    }
    this.depth = places.length;
    return inner.failure;
  }

  async wait(place: Place, waiting: Promise<unknown>): Promise<undefined | Failure> {
    const { inner } = this;
    let pass: unknown;
    try {
      pass = await this.cuttable(place, waiting);
    } catch (error) {
      pass = thrown(error);
    }
    inner.waiter = undefined;
    inner.at = inner.scope.clock.now();
    if (pass instanceof Failure) return refused(place, pass, this.call);
    this.passes[this.depth++] = pass;
    if (place.narrows) {
      this.inner = (pass as Narrowing).inner;
      this.inner.at = inner.at;
    }
    return this.advance();
  }

  /** The same wait, ended by a cut if the gate does not see to that itself; a pass that comes after it is given back. */
  cuttable(place: Place, waiting: Promise<unknown>): Promise<unknown> {
    const { inner } = this;
    if (inner.waiter !== undefined) return waiting;
    return new Promise((resolve, reject) => {
      const cut = (failure: Failure): void => {
        resolve(failure);
        const giveBack = (pass: unknown): void => {
          if (!(pass instanceof Failure)) place.takeBack(pass, inner.scope.clock.now());
        };
        waiting.then(giveBack, () => undefined);
      };
      if (inner.failure !== undefined) {
        cut(inner.failure);
        return;
      }
      inner.waiter = cut;
      waiting.then(resolve, reject);
    });
  }

  /**
   * Tells the places how it ended, innermost first. Stops at the first reaction that has something to do about it and answers with its
   * number; -1 when all are told.
   */
  retreat(outcome: Outcome): number {
    const { call, places, passes } = this;
    let now = -1;
    for (let i = this.depth - 1; i >= 0; i--) {
      const place = places[i] as Place;
      if (place.isGate) {
        if (now === -1 && place.timed) now = place.scope.clock.now();
        this.depth = i;
        place.tell(call, passes[i], outcome, now);
      } else {
        if (place.handles(outcome, passes[i] as Call)) return i;
        this.depth = i;
      }
    }
    return -1;
  }

  /** Counts the reaction with this number as told; answers with the call as it was there. */
  leave(number: number): Call {
    this.depth = number;
    return this.passes[number] as Call;
  }
}

/** Passes of a passage through nothing. */
const none: unknown[] = [];

function refused(place: Place, failure: Failure, call: Call): Failure {
  place.refused(failure, call);
  return failure;
}
