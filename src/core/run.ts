import type { Call } from './call.ts';
import { isGentle } from './gentle.ts';
import { abandon } from './leftovers.ts';
import { type Failure, type Outcome, thrown } from './outcome.ts';
import { isThenable } from './thenable.ts';
import { present, runAs } from './context.ts';

/** Starts the work: the innermost step of every pipeline, and the only one that runs user code it does not wait for. May reject. */
export function run(call: Call): Promise<Outcome> {
  if (call.failure !== undefined) return Promise.resolve(call.failure);
  call.markStarted();
  return follow(call, call.work);
}

/** As {@link run}, and the work can ask `currentCall()`. */
export function runTracked(call: Call): Promise<Outcome> {
  if (call.failure !== undefined) return Promise.resolve(call.failure);
  call.markStarted();
  return follow(call, runWork);
}

function runWork(call: Call): unknown {
  return runAs(call, call.work);
}

/**
 * Runs a user's function on behalf of a call. If the call is cut short before it settles, the answer is the cut, and what still runs is
 * abandoned: its late outcome is swallowed and reported. Both places of `then` hold the promise's own resolving functions: that is
 * what lets V8 follow an error thrown after an `await` in the work back to the caller (law 9).
 */
export function follow(call: Call, work: (call: Call) => unknown): Promise<Outcome> {
  let promise: Promise<unknown>;
  const before = present.call;
  present.call = call;
  try {
    const result = work(call);
    present.call = before;
    if (result instanceof Promise && result.then === Promise.prototype.then) promise = Promise.resolve(result);
    else if (isThenable(result)) promise = new Promise((resolve) => resolve(result));
    else return Promise.resolve(call.failure ?? result);
  } catch (error) {
    present.call = before;
    return Promise.resolve(call.failure ?? thrown(error));
  }
  if (call.failure !== undefined && !isGentle(call.failure)) {
    // Cut while the work's own first stretch ran: nobody was there yet to be told.
    abandon(call, promise);
    return Promise.resolve(call.failure);
  }
  if (!call.cuttable) return promise;
  return new Promise((resolve, reject) => {
    const cut = (failure: Failure): void => {
      if (isGentle(failure)) {
        call.waiter = cut;
        return;
      }
      abandon(call, promise);
      resolve(failure);
    };
    call.waiter = cut;
    promise.then(resolve, reject);
  });
}
