import type { CircuitNote } from '../../algorithms/circuit-state.ts';
import { Audience } from '../../core/audience.ts';
import type { Call } from '../../core/call.ts';
import type { Level } from '../../core/events.ts';

/** What is told when a state begins, and besides. */
const news: Readonly<Record<CircuitNote['type'], { readonly type: string; readonly level: Level }>> = {
  closed: { type: 'circuit-breaker.closed', level: 'info' },
  open: { type: 'circuit-breaker.opened', level: 'error' },
  'half-open': { type: 'circuit-breaker.half-opened', level: 'warn' },
  isolated: { type: 'circuit-breaker.isolated', level: 'warn' },
  disabled: { type: 'circuit-breaker.disabled', level: 'warn' },
  'metrics-only': { type: 'circuit-breaker.disarmed', level: 'warn' },
  'probe-expired': { type: 'circuit-breaker.probe-expired', level: 'warn' },
  starved: { type: 'circuit-breaker.starved', level: 'warn' },
  restored: { type: 'circuit-breaker.restored', level: 'info' },
};

/** Sends out what has happened to a circuit, in all pipelines that it is mounted in. */
export class CircuitNews extends Audience {
  #telling = false;

  /**
   * Empties the notes, each event after its change and in order: a listener that gives a command of its own only adds to them. `call` lends the
   * events its key.
   */
  tell(notes: CircuitNote[], call: Call | undefined): void {
    if (notes.length === 0 || this.#telling) return;
    this.#telling = true;
    try {
      for (let note = notes.shift(); note !== undefined; note = notes.shift()) {
        const { type, level } = news[note.type];
        this.emit(type, level, call, note.fields);
      }
    } finally {
      this.#telling = false;
    }
  }
}
