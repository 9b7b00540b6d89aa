/** What a guard answers, and what it says of its limits: statuses, `Retry-After`, `RateLimit` fields, and lesser answers in place of none. */

import { systemClock, systemRandom, wallTime } from '../../core/clock.ts';
import { OriginDeniedError, RateLimitedError, RejectedError } from '../../core/errors.ts';
import type { Pipeline } from '../../core/pipeline.ts';
import type { Quota } from '../../core/quota.ts';
import { type RateLimitFields, type RateLimitShape, rateLimitFields } from '../../fields/rate-limit-shapes.ts';
import type { Asked } from './asking.ts';
import type { GuardSettings, Soon } from './guard-options.ts';
import { type Answer, type Turned, answerTo, degradedAnswer, naming, retryAfterSeconds, wordedAs } from './response.ts';

/** Waits from here on are lengthened by chance, ms: whoever waits a minute waits with many. */
const LONG_WAIT = 60_000;

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
    const limited = error instanceof RateLimitedError ? this.#limited(plain, asked, error) : plain;
    const later = error instanceof RejectedError ? this.#later(limited, error.retryAfter) : limited;
    const turned = { ...later, error };
    return limited === plain ? this.#lesser(req, turned) : soon(this.#worded(req, turned), (worded) => this.#lesser(req, worded));
  }

  /** Says which limits have nothing left, and no `Retry-After` that is earlier than what they say. */
  #limited(plain: Answer, { key, cost }: Counted, error: RateLimitedError): Answer {
    const { statusCode: status } = this.#settings;
    const quotas = this.#shapes.length === 0 ? [] : this.#gates.quotas({ key });
    const violated = quotas.filter(({ remaining }) => remaining < cost);
    const retryAfter = Math.max(error.retryAfter ?? 0, ...violated.map(({ reset }) => reset));
    const headers = { ...plain.headers, ...this.#written(quotas), 'retry-after': String(retryAfterSeconds(retryAfter)) };
    const said = { ...plain, headers };
    return { ...(violated.length === 0 ? said : naming(said, this.#names(violated))), status };
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

  /** The same, but many who wait long do not come back at once. */
  #later(answer: Answer, retryAfter: number | undefined): Answer {
    const { retryAfterJitter } = this.#settings;
    if (retryAfter === undefined || retryAfter < LONG_WAIT || retryAfter === Infinity || retryAfterJitter === 0) return answer;
    const spread = retryAfter * (1 + retryAfterJitter * systemRandom());
    return { ...answer, headers: { ...answer.headers, 'retry-after': String(retryAfterSeconds(spread)) } };
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
  return value instanceof Promise ? value.then(go) : go(value);
}
