import { type Fields, readOptions } from '../core/options.ts';
import type { Bulkhead, BulkheadOptions } from '../policies/bulkhead.ts';
import type { CircuitBreaker, CircuitBreakerOptions } from '../policies/circuit-breaker.ts';
import type { PerKey } from '../policies/per-key.ts';
import { type Retry, type RetryOptions, retry } from '../policies/retry.ts';
import type { Timeout, TimeoutOptions } from '../policies/timeout.ts';
import { type TokenBucket, type TokenBucketOptions, tokenBucket } from '../policies/token-bucket.ts';
import { type Extra, type Part, attempt, circuits, part, partField, slots, total } from './parts.ts';

/** Options of {@link http}: for each part those of its policy, or `false` to leave it out. */
export interface HttpPresetOptions {
  /** Bounds the whole call. @defaultValue `{ after: '30s' }` */
  readonly timeout?: TimeoutOptions | false;
  /** Bounds how many calls begin. @defaultValue `false` */
  readonly rateLimit?: TokenBucketOptions | false;
  /** Tries calls again that say `idempotent: true`, and those that never reached the service. @defaultValue `{ maxAttempts: 3 }` */
  readonly retry?: RetryOptions | false;
  /** A circuit for each `call.key`. @defaultValue `{ window: '30s' }` */
  readonly circuitBreaker?: CircuitBreakerOptions | false;
  /** Slots for each `call.key`. @defaultValue `{ maxConcurrent: 100 }` */
  readonly bulkhead?: Partial<BulkheadOptions> | false;
  /** Bounds one attempt. @defaultValue `{ after: '10s' }` */
  readonly attemptTimeout?: TimeoutOptions | false;
}

/** The policies that {@link http} makes of these options, outermost first. */
export type HttpPreset<Given = object> = [
  ...Part<Given, 'timeout', Timeout>,
  ...Extra<Given, 'rateLimit', TokenBucket>,
  ...Part<Given, 'retry', Retry<unknown>>,
  ...Part<Given, 'circuitBreaker', PerKey<CircuitBreaker>>,
  ...Part<Given, 'bulkhead', PerKey<Bulkhead>>,
  ...Part<Given, 'attemptTimeout', Timeout>,
];

type Settings = { readonly [Name in keyof HttpPresetOptions]-?: NonNullable<HttpPresetOptions[Name]> | false };

const httpFields: Fields<Settings> = {
  timeout: partField<TimeoutOptions>().or({}),
  rateLimit: partField<TokenBucketOptions>().or(false),
  retry: partField<RetryOptions>().or({}),
  circuitBreaker: partField<CircuitBreakerOptions>().or({}),
  bulkhead: partField<Partial<BulkheadOptions>>().or({}),
  attemptTimeout: partField<TimeoutOptions>().or({}),
};

/**
 * Policies for calls to a service over HTTP, in the recommended order, as an array to edit. Give each call the origin it goes to as its `key`, and say whether it is `idempotent`.
 *
 * @throws OptionsError if an option is wrong
 *
 * @example
 * ```ts
 * import { pipeline, presets } from 'breakwater';
 *
 * const api = pipeline(presets.http({ timeout: { after: '5s' }, attemptTimeout: { after: '1s' } }));
 * const get = (path: string) => api.execute(() => `200 ${path}`, { key: 'https://api.example', idempotent: true });
 * console.log(await get('/users')); // => '200 /users'
 * ```
 */
export function http<const Given extends HttpPresetOptions = object>(options?: Given): HttpPreset<Given> {
  const given = readOptions<Settings>('presets.http', httpFields, options);
  return [
    ...part(given.timeout, total),
    ...part(given.rateLimit, (own) => tokenBucket({ name: 'rate-limit', ...own })),
    ...part(given.retry, (own) => retry({ name: 'retry', idempotent: ({ idempotent }) => idempotent === true, ...own })),
    ...part(given.circuitBreaker, circuits),
    ...part(given.bulkhead, slots),
    ...part(given.attemptTimeout, attempt),
  ] as unknown as HttpPreset<Given>;
}
