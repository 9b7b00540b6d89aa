import type { Call } from './call.ts';
import { wallTime } from './clock.ts';
import { OptionsError, TimeoutError } from './errors.ts';
import { isFailedStatus, isPassingStatus, responseIn, responseOf, type HttpAnswer } from './http-outcome.ts';
import { traitsOf } from './network-error.ts';
import { show } from './options.ts';
import { Failure, type Outcome, type Settled, type Verdict, retryAfterOf, settled } from './outcome.ts';
import { retryAfterFrom } from './retry-after.ts';
import type { Scope } from './scope.ts';

/** What an outcome means to policies. */
export interface Classification {
  /** How it counts: `ignored` is nobody's failure and no proof of health. */
  readonly verdict: Verdict;
  /** Another attempt may succeed. */
  readonly retryable: boolean;
  /** A sign that the service, or something on the way to it, has too much to do. */
  readonly overload: boolean;
  /** Time ran out. */
  readonly timeout: boolean;
  /** The service said that it is asked too often (429, `RESOURCE_EXHAUSTED`). */
  readonly throttled: boolean;
  /** False if the call never reached the service, so that trying again cannot do anything twice. */
  readonly dispatched: boolean;
  /** The wait that was asked for, ms; `Infinity`: do not try again. */
  readonly retryAfter: number | undefined;
}

/**
 * Says what an outcome means: a verdict, some of the flags, or nothing (then the defaults hold). Asked for results, errors and timeouts; refusals by policies
 * and aborts by the caller are what they are.
 */
export type Classifier<Sees = unknown> = (outcome: Settled<Sees>, call: Call) => Partial<Classification> | Verdict | undefined;

const success: Classification = Object.freeze({
  verdict: 'success',
  retryable: false,
  overload: false,
  timeout: false,
  throttled: false,
  dispatched: true,
  retryAfter: undefined,
});
const failure: Classification = Object.freeze({ ...success, verdict: 'failure', retryable: true });
const ignored: Classification = Object.freeze({ ...success, verdict: 'ignored' });
const timedOut: Classification = Object.freeze({ ...failure, timeout: true, overload: true });
const plain: Readonly<Record<Verdict, Classification>> = { success, failure, ignored };

/**
 * What an outcome means. A policy's `own` classifier is asked first, then the pipeline's, then the defaults: refusals, aborts and degraded answers are ignored,
 * timeouts and errors are failures, errors of Node, undici, gRPC and HTTP clients and HTTP responses are known for what they are, other values are
 * successes.
 */
export function classify(outcome: Outcome, call: Call, scope: Scope, own?: Classifier<never>): Classification {
  const known = own === undefined && scope.classifier === undefined ? undefined : asked(outcome, call, scope, own);
  return known ?? defaultClassification(outcome, call);
}

function defaultClassification(outcome: Outcome, call: Call): Classification {
  if (typeof outcome !== 'object') return call.degraded ? ignored : success;
  if (outcome instanceof Failure) return ofFailure(outcome, call);
  if (call.degraded) return ignored;
  try {
    const response = responseIn(outcome);
    return response === undefined ? success : ofResponse(response, call);
  } catch {
    // A result that throws when it is looked at.
    return success;
  }
}

function ofFailure({ error, kind }: Failure, call: Call): Classification {
  if (kind === 'aborted') return ignored;
  if (kind === 'refused') return { ...ignored, overload: true, dispatched: false, retryAfter: retryAfterOf(error) };
  if (kind === 'timeout') return error instanceof TimeoutError && !error.started ? { ...timedOut, dispatched: false } : timedOut;
  if (typeof error !== 'object' || error === null) return failure;
  try {
    return ofError(error, call);
  } catch {
    // An error that throws when it is looked at.
    return failure;
  }
}

function ofError(error: object, call: Call): Classification {
  if (error instanceof OptionsError) return ignored;
  const response = responseOf(error);
  if (response !== undefined) return ofResponse(response, call);
  const traits = traitsOf(error);
  const retryAfter = waitAskedBy(error, call);
  if (traits === undefined) return retryAfter === undefined ? failure : { ...failure, retryAfter };
  const { verdict, retryable, overload = false, timeout = false, throttled = false, undispatched = false } = traits;
  return { verdict, retryable: retryable && retryAfter !== Infinity, overload, timeout, throttled, dispatched: !undispatched, retryAfter };
}

/** The wait that an error asks for by itself (`retryAfter` in ms) or in what a gRPC service sent with it. */
function waitAskedBy(error: object, call: Call): number | undefined {
  const own = retryAfterOf(error);
  if (own !== undefined) return own;
  const { metadata } = error as { readonly metadata?: { readonly getMap?: unknown } };
  return typeof metadata?.getMap === 'function'
    ? retryAfterFrom((metadata as { getMap(): object }).getMap(), wallTime(call.scope.clock))
    : undefined;
}

function ofResponse({ status, headers }: HttpAnswer, call: Call): Classification {
  if (!isFailedStatus(status)) return success;
  const retryAfter = headers === undefined ? undefined : retryAfterFrom(headers, wallTime(call.scope.clock));
  const throttled = status === 429;
  return {
    verdict: 'failure',
    retryable: isPassingStatus(status) && retryAfter !== Infinity,
    overload: throttled || status === 503,
    timeout: status === 408 || status === 504,
    throttled,
    dispatched: true,
    retryAfter,
  };
}

/** What the user's classifiers say; `undefined` if they leave it to the defaults. */
function asked(outcome: Outcome, call: Call, scope: Scope, own: Classifier<never> | undefined): Classification | undefined {
  if (outcome instanceof Failure && (outcome.kind === 'aborted' || outcome.kind === 'refused')) return undefined;
  for (const classifier of [own, scope.classifier]) {
    if (classifier === undefined) continue;
    try {
      const answer: unknown = classifier(settled(outcome) as Settled<never>, call);
      if (answer !== undefined) return merged(answer, outcome, call);
    } catch (error) {
      scope.report('classify', error);
    }
  }
  return undefined;
}

function merged(answer: unknown, outcome: Outcome, call: Call): Classification {
  const given = typeof answer === 'string' ? { verdict: answer } : answer;
  const { verdict, retryAfter } = Object(given) as { readonly verdict?: unknown; readonly retryAfter?: unknown };
  if (typeof given !== 'object' || given === null || (verdict !== undefined && !Object.hasOwn(plain, verdict as string)))
    throw new TypeError(
      `classify: expected 'success', 'failure', 'ignored' or an object with such a verdict and flags, got ${show(answer)}`,
    );
  if (retryAfter !== undefined && typeof retryAfter !== 'number')
    throw new TypeError(`classify: expected a number of ms as retryAfter, got ${show(retryAfter)}`);
  const standing = defaultClassification(outcome, call);
  // A verdict of one's own brings the flags that go with it, unless the default came to the same.
  const base = verdict === undefined || verdict === standing.verdict ? standing : plain[verdict as Verdict];
  return { ...base, ...Object.fromEntries(Object.entries(given).filter(([, flag]) => flag !== undefined)) };
}
