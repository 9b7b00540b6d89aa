/**
 * Throttle: sends less to a service that turns calls away, without asking anybody else. Client-side adaptive throttling.
 *
 * @example
 * ```ts
 * import { pipeline, throttle } from 'breakwater';
 *
 * const polite = throttle({ window: '10s' });
 * const search = pipeline([polite]);
 * const busy = () => Promise.reject(Object.assign(new Error('try later'), { status: 503 }));
 * for (let i = 0; i < 100; i++) await search.executeOutcome(busy);
 * console.log(polite.rejectionProbability); // => 0.9
 * ```
 *
 * @module
 */

import { Throttling, type ThrottlePass, type ThrottlingSettings } from '../algorithms/throttling.ts';
import { Audience } from '../core/audience.ts';
import type { Call } from '../core/call.ts';
import type { Classifier } from '../core/classification.ts';
import type { Clock } from '../core/clock.ts';
import { type OptionProblem, ThrottledError } from '../core/errors.ts';
import { made } from '../core/made.ts';
import { type CommonSettings, type Mode, type PolicyOptions, commonFields } from '../core/mode.ts';
import { type Duration, type Fields, count, duration, flag, fn, numeric, oneOf, ratio, readOptions } from '../core/options.ts';
import { type Failure, type Outcome, refuse } from '../core/outcome.ts';
import { type GatePolicy, type Handler, type PlainData, type Policy, mountAlone } from '../core/policy.ts';
import { LEVELS, type Priority, rankOf } from '../core/priority.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';
import { STRAIN } from '../core/strain.ts';
import { type AcceptanceTest, type Accepts, acceptanceOf } from './throttle/acceptance.ts';
import { type ThrottleSnapshot, classes, overview } from './throttle/overview.ts';

/** Options of {@link throttle}. Shares are 0 to 1. */
export interface ThrottleOptions<Sees = unknown> extends PolicyOptions {
  /** So many requests are made for each that is accepted: 2 bears that every other one is turned away; nearer to 1 sends less in vain, and takes longer to recover. @defaultValue `2` */
  readonly k?: number;
  /** Share of the requests that should be accepted, another way to say `k` (1 / `k`). @defaultValue none */
  readonly successTarget?: number;
  /** How long is looked back on. At least twice the timeout of a call. @defaultValue `'120s'` */
  readonly window?: Duration;
  /** Parts that the window moves on by. @defaultValue `20` */
  readonly buckets?: number;
  /** With fewer requests of its class in the window no call is turned away. @defaultValue `20` */
  readonly minRequests?: number;
  /** At most this share of the calls is turned away, so that some always try the service out. @defaultValue `0.9` */
  readonly maxRejection?: number;
  /** Above 1, more are turned away early on: the probability is raised to the power of 1 / `aggression`. @defaultValue `1` */
  readonly aggression?: number;
  /** What makes a request one that was not accepted: a sign of overload (429, 503, a timeout), any failure, or your function says (`true`: accepted). @defaultValue `'overload'` */
  readonly accepts?: 'overload' | 'failure' | AcceptanceTest<Sees>;
  /** Whether calls that are turned away here count as requests. If not, more get through, in waves. @defaultValue `true` */
  readonly localRejections?: boolean;
  /** Once no call has passed for so long, the next one does. @defaultValue `'1s'` */
  readonly probeInterval?: Duration;
  /** A call under way for longer counts as a request that is not accepted, until it is; `0`: from its start on. More than a healthy service ever takes. @defaultValue `window / buckets` */
  readonly overdueAfter?: Duration;
  /** What outcomes mean here; asked before the pipeline's own. @defaultValue what is known of errors and HTTP responses */
  readonly classify?: Classifier<Sees>;
}

declare module '../core/events.ts' {
  interface EventFields {
    /** Calls of a class begin to be turned away. */
    'throttle.engaged': { readonly priority: Priority; readonly rejectionProbability: number };
    /** None has been turned away for a while. */
    'throttle.released': { readonly priority: Priority };
  }
}

/** A throttle. Pipelines that hold the same one share what they know of the service. */
export interface Throttle<Sees = unknown> extends Policy<Sees>, Pick<GatePolicy, 'gate'> {
  readonly kind: 'throttle';
  /** Share of the calls that is turned away now, 0 to 1; with calls of several classes, over their present mix. */
  readonly rejectionProbability: number;
  snapshot(): ThrottleSnapshot;
}

/** Options as read. */
export interface ThrottleSettings extends Omit<ThrottlingSettings, 'overdueAfter'>, CommonSettings {
  readonly overdueAfter: number | undefined;
  readonly successTarget: number | undefined;
  readonly accepts: Accepts;
  readonly classify: Classifier<never> | undefined;
}

/** The option table. */
export const throttleFields: Fields<ThrottleSettings> = {
  k: numeric({ min: 1 }).or(2),
  successTarget: ratio({ above: true }).optional(),
  window: duration({ min: 1 }).or('120s'),
  buckets: count({ min: 1 }).or(20),
  minRequests: count().or(20),
  maxRejection: ratio().or(0.9),
  aggression: numeric({ min: 1 }).or(1),
  accepts: oneOf('overload', 'failure').orFunction<AcceptanceTest<never>>("(outcome, call) => true, false or 'ignored'").or('overload'),
  localRejections: flag().or(true),
  probeInterval: duration({ min: 1, infinite: true }).or('1s'),
  overdueAfter: duration({ infinite: true }).optional(),
  classify: fn<Classifier<never>>('(outcome, call) => verdict, flags or undefined').optional(),
  ...commonFields,
};

/**
 * Turns calls away before they are sent, with the probability max(0, (requests - k * accepts) / (requests + 1)) over the window, so that a service that takes
 * less than it is asked for is asked for about `k` times what it takes. The others get a {@link ThrottledError}, which says when a call passes in any case.
 *
 * A call is a request from when it is sent. For its first moments it has the benefit of the doubt; once it has outlasted `overdueAfter`, it counts as not accepted until it is. What says
 * nothing of the service counts as nothing: a caller's abort, a refusal by a policy further in.
 *
 * By `call.priority` each class has its own window; what the service takes goes to the classes that matter most, and within one to the highest levels.
 *
 * After Google's "Site Reliability Engineering", chapter 21; `successTarget` and `maxRejection` as in failsafe-go and Envoy, the probe as in go-zero.
 *
 * @throws OptionsError if an option is wrong, or both `k` and `successTarget` are given
 */
export function throttle<Sees = unknown>(options: ThrottleOptions<Sees> = {}): Throttle<Sees> {
  const onlyOne = ({ k, successTarget }: ThrottleSettings): OptionProblem | undefined =>
    successTarget === undefined || (Object(options) as ThrottleOptions).k === undefined
      ? undefined
      : { path: 'successTarget', expected: 'none beside k, which says the same (1 / k)', got: `${successTarget} and a k of ${k}` };
  return new ThrottlePolicy<Sees>(readOptions('throttle', throttleFields, options, onlyOne));
}

function placeOf(call: Call): number {
  return rankOf(call.priority) / LEVELS;
}

class ThrottlePolicy<Sees> implements Throttle<Sees> {
  readonly kind = 'throttle';
  readonly name: string | undefined;
  readonly mode: Mode;
  readonly settings: ThrottleSettings & ThrottlingSettings;
  readonly state: Throttling;
  readonly #audience = new Audience();
  #clock: Clock | undefined = undefined;

  constructor(settings: ThrottleSettings) {
    const { k, successTarget, window, buckets, overdueAfter = window / buckets, name, mode } = settings;
    this.name = name;
    this.mode = mode;
    this.settings = { ...settings, k: successTarget === undefined ? k : 1 / successTarget, overdueAfter };
    this.state = new Throttling(this.settings, classes.length);
  }

  get rejectionProbability(): number {
    return this.snapshot().rejectionProbability;
  }

  gate(scope: Scope): Gate {
    this.#audience.add(scope);
    this.#clock ??= scope.clock;
    return new ThrottleGate(this, scope);
  }

  mount(next: Handler, scope: Scope): Handler {
    return mountAlone(this, next, scope);
  }

  /** Nothing is under way, and the window is empty. */
  atRest(now: number): boolean {
    this.state.probability(0, now);
    return this.state.pending === 0 && this.state.accounts.every((account) => (account?.window.requests ?? 0) === 0);
  }

  /** Calls of its class are turned away, or nearly. */
  strained(call: Call): boolean {
    const place = placeOf(call);
    const probability = this.state.probability(place, this.#now);
    const { requests = 0, accepts = 0 } = this.state.accounts[place]?.window ?? {};
    const { k, minRequests } = this.settings;
    return probability > 0 || (requests > 0 && requests >= minRequests && requests > STRAIN * k * accepts);
  }

  snapshot(): ThrottleSnapshot {
    return overview(this.state, this.#now);
  }

  describe(): PlainData {
    const { k, window, buckets, minRequests, maxRejection, aggression, accepts, localRejections, probeInterval, overdueAfter } =
      this.settings;
    const counted = typeof accepts === 'function' ? 'computed' : accepts;
    return { k, window, buckets, minRequests, maxRejection, aggression, accepts: counted, localRejections, probeInterval, overdueAfter };
  }

  /** A call has come by this clock: it is the one that time is told by. */
  follow(clock: Clock): void {
    this.#clock = clock;
  }

  /** Tells of a class whose calls begin to be turned away, or are no more. */
  tell(place: number, rejectionProbability: number, now: number): void {
    const turn = this.state.turns(place, rejectionProbability, now);
    const priority = classes[place];
    if (turn === 'engaged') this.#audience.emit('throttle.engaged', 'warn', undefined, { priority, rejectionProbability });
    else if (turn === 'released') this.#audience.emit('throttle.released', 'info', undefined, { priority });
  }

  /** The present, by the clock of the latest call; before any there is none. */
  get #now(): number {
    return this.#clock?.now() ?? 0;
  }
}

/** The throttle as one pipeline sees it. */
class ThrottleGate implements Gate<ThrottlePass> {
  readonly policy: ThrottlePolicy<unknown>;
  readonly scope: Scope;

  constructor(policy: ThrottlePolicy<unknown>, scope: Scope) {
    this.policy = policy;
    this.scope = scope;
  }

  enter(call: Call, now: number): ThrottlePass | Failure {
    const { policy, scope } = this;
    const { state } = policy;
    const place = placeOf(call);
    policy.follow(scope.clock);
    const probability = state.probability(place, now);
    policy.tell(place, probability, now);
    if (probability > 0) {
      const untilProbe = state.untilProbe(place, now);
      if (untilProbe > 0 && state.draws(place, probability, call.priorityLevel, scope.random())) {
        state.refuse(place, now);
        return this.#refuse(call, probability, untilProbe);
      }
    }
    return state.pass(place, now, call);
  }

  settle(pass: ThrottlePass, outcome: Outcome, now: number): void {
    const { accepts, classify } = this.policy.settings;
    const accepted = acceptanceOf(outcome, pass.subject as Call, this.scope, accepts, classify);
    if (accepted === undefined) this.policy.state.forget(pass);
    else this.policy.state.settle(pass, accepted, now);
  }

  cancel(pass: ThrottlePass): void {
    this.policy.state.giveBack(pass);
  }

  #refuse({ key, priority }: Call, probability: number, retryAfter: number): Failure {
    const { pipeline, policy, stack } = this.scope;
    const share = Math.round(probability * 100);
    const message = `${pipeline}: ${policy} holds back ${share} % of the ${priority} calls, as the service turns too many away`;
    return refuse(
      made(ThrottledError, message, { pipeline, policy, key, retryAfter: retryAfter === Infinity ? undefined : retryAfter }, stack),
    );
  }
}
