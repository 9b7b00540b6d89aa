import { type TimeoutDetails, TimeoutError } from '../core/errors.ts';
import { made } from '../core/made.ts';
import type { Call } from '../core/call.ts';
import { Failure } from '../core/outcome.ts';

/** A stretch of an exchange: until the answer's head is there, or between two chunks of its body. */
export type Phase = 'headers' | 'body-idle';

/** A phase of an exchange took too long; `after` says how long it may take. */
export class PhaseTimeoutError extends TimeoutError {
  readonly phase: Phase;

  constructor(message: string, details: TimeoutDetails & { readonly phase: Phase }) {
    super(message, details);
    this.phase = details.phase;
  }
}

const waitedFor: Readonly<Record<Phase, string>> = { headers: 'no answer', 'body-idle': 'nothing more of the body' };

/** The failure of a call whose phase took too long. */
export function phaseOver({ scope: { pipeline, stack }, key }: Call, phase: Phase, after: number, loopStalled: boolean): Failure {
  const message = `${pipeline}: ${waitedFor[phase]} within ${after} ms (phases.${phase === 'headers' ? phase : 'bodyIdle'})`;
  return new Failure(made(PhaseTimeoutError, message, { pipeline, key, after, loopStalled, phase }, stack), 'timeout');
}
