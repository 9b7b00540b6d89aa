import type { CircuitSnapshot, CircuitState } from '../../algorithms/circuit-state.ts';
import type { Duration } from '../../core/options.ts';

/** An isolation that somebody asked for, until it is released. */
export interface Isolation extends Disposable {
  /** Lets go; the circuit is back where it stood once all who isolated it have. A second call does nothing. */
  release(): void;
}

/** What operators can ask of a circuit and tell it. Looking at it carries out what is due; commands take effect at once. */
export interface CircuitControls extends Disposable {
  readonly state: CircuitState;
  /** All there is to know, as plain data, which `restore()` and the option `initialState` take. */
  snapshot(): CircuitSnapshot;
  /**
   * Goes on from a snapshot, also one of another process that has been through JSON: the time since then has passed for it. A circuit that was half-open
   * is open and may be tried at once; one that was isolated is so until `reset()`. False if its window was dropped, because `window` or
   * `slowCall` are other ones now and its counts would mean something else.
   *
   * @throws OptionsError if it is no snapshot; nothing has changed then
   */
  restore(snapshot: object): boolean;
  /** Refuses all calls until released; then it stands again where it stood, with the same counts. Isolations add up. */
  isolate(reason?: string): Isolation;
  /** Opens, for the given time or as `openFor` says. */
  open(time?: Duration): void;
  /** Lets probes in before the open time is over. @throws ResilienceError if it is not open */
  halfOpen(): void;
  /** Closes from any state, with an empty window and for all calls: there is no ramp. */
  close(): void;
  /** Lets all calls pass and counts none, until `enable()` or another command. */
  disable(): void;
  /** Lets all calls pass, counts them, and never opens, until `enable()` or another command. */
  metricsOnly(): void;
  /** Ends `disable()` and `metricsOnly()`: closed, with an empty window. */
  enable(): void;
  /** Makes it as new: closed, nothing counted, no isolation. */
  reset(): void;
  /** Ends `recover` for good: no timer and no recovery probe is left. The circuit itself goes on, and needs calls to be tried. */
  [Symbol.dispose](): void;
}
