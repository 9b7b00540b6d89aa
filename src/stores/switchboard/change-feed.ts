import { type EventFields, type EventOf, type Listener, type Off, Outlet } from '../../core/events.ts';
import type { FeatureSwitch } from './feature-switch.ts';

/** A change that nobody has been told of yet. */
interface Note {
  readonly feature: FeatureSwitch;
  readonly fields: EventFields['degrade.changed'];
}

/** Tells of levels that have changed: in the pipelines that serve the feature, and to the listeners of the board. */
export class ChangeFeed {
  readonly #board: string;
  readonly #now: () => number;
  readonly #outlet = new Outlet();
  readonly #notes: Note[] = [];
  #telling = false;

  constructor(board: string, now: () => number) {
    this.#board = board;
    this.#now = now;
  }

  on(type: 'degrade.changed', listener: Listener<EventOf<'degrade.changed'>>): Off {
    return this.#outlet.on(type, listener as Listener);
  }

  add(feature: FeatureSwitch, fields: EventFields['degrade.changed']): void {
    this.#notes.push({ feature, fields });
  }

  /** Tells all there is to tell, in order. A listener that gives an order itself only adds to it. */
  tell(): void {
    if (this.#telling) return;
    this.#telling = true;
    try {
      for (let note = this.#notes.shift(); note !== undefined; note = this.#notes.shift()) this.#send(note);
    } finally {
      this.#telling = false;
    }
  }

  #send({ feature, fields }: Note): void {
    const { levels, audience } = feature;
    const deeper = levels.indexOf(fields.to) > levels.indexOf(fields.from);
    audience.emit('degrade.changed', deeper ? 'warn' : 'info', undefined, fields);
    if (!this.#outlet.listening) return;
    this.#outlet.emit({ type: 'degrade.changed', level: deeper ? 'warn' : 'info', at: this.#now(), pipeline: this.#board, ...fields });
  }
}
