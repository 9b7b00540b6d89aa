/** What a guard answers, and what it says of its limits: statuses, `Retry-After`, `RateLimit` fields, and lesser answers in place of none. */

import { systemClock, systemRandom, wallTime } from '../../core/clock.ts';
import { OriginDeniedError, RateLimitedError, RejectedError } from '../../core/errors.ts';
import type { Pipeline } from '../../core/pipeline.ts';
import { isThenable } from '../../core/thenable.ts';
import type { Quota } from '../../core/quota.ts';
import { type RateLimitFields, type RateLimitShape, rateLimitFields } from '../../fields/rate-limit-shapes.ts';
import type { Asked } from './asking.ts';
import type { GuardSettings, Soon } from './guard-options.ts';
import { type Answer, type Turned, answerTo, degradedAnswer, naming, retryAfterSeconds, wordedAs } from './response.ts';

/** Waits from here on are lengthened by chance, ms: whoever waits a minute waits with many. */
const LONG_WAIT = 60_000;

/** How long functions of the user's may take to make an answer, ms. */
const PATIENCE = 1000;

const none: RateLimitFields = Object.freeze({});

/** What of a request the limits are told by. */
type Counted = Pick<Asked, 'key' | 'cost'>;

/** Answers for one guard. */
export class Answering<Req> {
  readonly #gates: Pipeline;
  readonly #settings: GuardSettings<Req>;
  readonly #shapes: readonly RateLimitShape[];

  constructor(gates: Pipeline, settings: GuardSettings<Req>) {
    this.#gates = gates;
    this.#settings = settings;
    const { standardHeaders, legacyHeaders } = settings;
    const shapes: (RateLimitShape | false)[] = [standardHeaders === true ? 'draft-11' : standardHeaders, legacyHeaders && 'legacy'];
    this.#shapes = shapes.filter((shape) => shape !== false);
  }

  /** The `RateLimit` fields for whoever has this key, by their lower-case names. */
  fields(key: string | undefined): RateLimitFields {
    return this.#shapes.length === 0 ? none : this.#written(this.#gates.quotas({ key }));
  }

  /** The answer to a refusal or a timeout of a request that asked for so much; `undefined` if the error is the application's own. */
  answer(req: Req, asked: Counted, error: unknown): Soon<Turned | undefined> {
    const plain = answerTo(error);
    if (plain === undefined) return undefined;
    const limited = error instanceof RateLimitedError;
    const turned = limited ? this.#limited(plain, asked, error) : { ...plain, ...this.#later(plain, error), error };
    return inTime(limited ? soon(this.#worded(req, turned), (worded) => this.#lesser(req, worded)) : this.#lesser(req, turned), turned);
  }

  /** Says which limits have nothing left, and no `Retry-After` that is earlier than what they say. */
  #limited(plain: Answer, { key, cost }: Counted, error: RateLimitedError): Turned {
    const { statusCode: status } = this.#settings;
    const quotas = this.#shapes.length === 0 ? [] : this.#gates.quotas({ key });
    const violated = quotas.filter(({ remaining }) => remaining < cost);
    const retryAfter = Math.max(error.retryAfter ?? 0, ...violated.map(({ reset }) => reset));
    const headers = { ...plain.headers, ...this.#written(quotas), 'retry-after': String(retryAfterSeconds(this.#spread(retryAfter))) };
    const said = { ...plain, headers };
    return { ...(violated.length === 0 ? said : naming(said, this.#names(violated))), status, error };
  }

  #names(quotas: readonly Quota[]): readonly string[] {
    const { identifier } = this.#settings;
    return quotas.map(({ policy }) => identifier ?? policy);
  }

  #written(quotas: readonly Quota[]): RateLimitFields {
    if (quotas.length === 0) return none;
    const { identifier } = this.#settings;
    const named = identifier === undefined || quotas.length > 1 ? quotas : quotas.map((quota) => ({ ...quota, policy: identifier }));
    const [first, second] = this.#shapes.map((shape) => rateLimitFields(shape, named, wallTime(systemClock)));
    return second === undefined ? (first as RateLimitFields) : { ...first, ...second };
  }

  /** The same fields; where it is a refusal that lasts, with a later time to come back. */
  #later({ headers }: Answer, error: unknown): Pick<Answer, 'headers'> {
    const retryAfter = error instanceof RejectedError ? error.retryAfter : undefined;
    if (retryAfter === undefined || headers['retry-after'] === undefined) return { headers };
    return { headers: { ...headers, 'retry-after': String(retryAfterSeconds(this.#spread(retryAfter))) } };
  }

  /** Many who wait long do not come back at once. */
  #spread(retryAfter: number): number {
    if (retryAfter < LONG_WAIT || retryAfter === Infinity) return retryAfter;
    return retryAfter * (1 + this.#settings.retryAfterJitter * systemRandom());
  }

  #worded(req: Req, turned: Turned): Soon<Turned> {
    const { message } = this.#settings;
    if (message === undefined) return turned;
    if (typeof message !== 'function') return { ...wordedAs(turned, message), error: turned.error };
    return soon((message as Words<Req>)(req, turned), (words) => ({ ...wordedAs(turned, words), error: turned.error }));
  }

  /** The lesser answer in place of this one, if there is one. Who is not let in at all gets none. */
  #lesser(req: Req, turned: Turned): Soon<Turned> {
    const { fallback } = this.#settings;
    if (fallback === undefined || turned.error instanceof OriginDeniedError) return turned;
    const given = typeof fallback === 'function' ? fallback(req, turned) : 'answer' in fallback ? fallback.answer(req, turned) : fallback;
    return soon(given, (lesser) => (lesser === undefined ? turned : { ...degradedAnswer(lesser), error: turned.error }));
  }
}

type Words<Req> = (req: Req, turned: Turned) => Soon<string | object>;

/** Goes on at once with what is there already: a handler that is told to stop must not answer first. */
function soon<T, U>(value: Soon<T>, go: (value: T) => Soon<U>): Soon<U> {
  return isThenable(value) ? Promise.resolve(value as PromiseLike<T>).then(go) : go(value);
}

/** What is to be sent by then at the latest: a client must not wait for a function that never answers. */
function inTime(turned: Soon<Turned>, plain: Turned): Soon<Turned> {
  if (!(turned instanceof Promise)) return turned;
  return new Promise((resolve, reject) => {
    const timer = systemClock.setTimeout(() => resolve(plain), PATIENCE);
    turned.then(resolve, reject).finally(() => systemClock.clearTimeout(timer));
  });
}
