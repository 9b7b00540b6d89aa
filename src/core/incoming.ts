import type { Call } from './call.ts';
import { type Leftover, Leftovers } from './leftovers.ts';
import type { Failure, Outcome } from './outcome.ts';

/** What answers that broke off came to. */
const broken = new WeakMap<object, Failure>();

/**
 * Says that more of an answer is to come when the call's work returns it, such as the body of a response. Retries, fallbacks, hedges and timeouts go by the answer as it is; gates
 * hold what they gave and are told when it is there in full, and the call is under way until then. Whoever says so calls the function that comes back when it is over, with a failure
 * if it broke off, and sees to it that the call being cut is the end of it.
 */
export function comesIn(call: Call, answer: object): (failure?: Failure) => void {
  const leftover: Leftover = [];
  for (let one: Call | undefined = call; one !== undefined; one = one.parent) (one.leftovers ??= new Leftovers()).add(leftover, true);
  return (failure) => {
    if (failure !== undefined) broken.set(answer, failure);
    for (let one: Call | undefined = call; one !== undefined; one = one.parent) one.leftovers?.delete(leftover);
    for (const tell of leftover.splice(0)) tell();
  };
}

/** What an outcome came to in the end. */
export function inFull(outcome: Outcome): Outcome {
  return typeof outcome === 'object' && outcome !== null ? (broken.get(outcome) ?? outcome) : outcome;
}
