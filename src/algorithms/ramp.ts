/** How traffic comes back after a circuit has closed. `Time` is what a length of time is given as: ms, once read. */
export interface RampSettings<Time = number> {
  /** How long it takes until all calls are let in again. */
  readonly duration: Time;
  /** Share of the calls that is let in at the very beginning. @defaultValue `0.1` */
  readonly min: number;
  /** The shape: `1` is a straight line; above, much comes back early; below, late. @defaultValue `1` */
  readonly aggression: number;
}

/** Share of the calls to let in `elapsed` ms after closing: max(min, (t / duration)^(1 / aggression)), the slow start of Envoy's load balancer. */
export function rampShare({ duration, min, aggression }: RampSettings, elapsed: number): number {
  if (elapsed >= duration) return 1;
  return Math.max(min, Math.max(0, elapsed / duration) ** (1 / aggression));
}
