import { type Fields, readOptions } from '../core/options.ts';
import type { Bulkhead, BulkheadOptions } from '../policies/bulkhead.ts';
import type { CircuitBreaker, CircuitBreakerOptions } from '../policies/circuit-breaker.ts';
import { type Hedge, type HedgeOptions, hedge } from '../policies/hedge.ts';
import type { PerKey } from '../policies/per-key.ts';
import type { Timeout, TimeoutOptions } from '../policies/timeout.ts';
import { type TokenBucket, type TokenBucketOptions, tokenBucket } from '../policies/token-bucket.ts';
import { type Extra, type Part, attempt, circuits, part, partField, slots, total } from './parts.ts';

/** Options of {@link hedgedHttp}: for each part those of its policy, or `false` to leave it out. */
export interface HedgedHttpPresetOptions {
  /** Bounds the whole call. @defaultValue `{ after: '30s' }` */
  readonly timeout?: TimeoutOptions | false;
  /** Bounds how many calls begin. @defaultValue `false` */
  readonly rateLimit?: TokenBucketOptions | false;
  /** Begins calls that say `idempotent: true` once more when they take longer than most. @defaultValue `{ delay: { quantile: 0.95, fallback: '2s' } }` */
  readonly hedge?: HedgeOptions | false;
  /** A circuit for each `call.key`. @defaultValue `{ window: '30s' }` */
  readonly circuitBreaker?: CircuitBreakerOptions | false;
  /** Slots for each `call.key`. @defaultValue `{ maxConcurrent: 100 }` */
  readonly bulkhead?: Partial<BulkheadOptions> | false;
  /** Bounds one attempt. @defaultValue `{ after: '10s' }` */
  readonly attemptTimeout?: TimeoutOptions | false;
}

/** The policies that {@link hedgedHttp} makes of these options, outermost first. */
export type HedgedHttpPreset<Given = object> = [
  ...Part<Given, 'timeout', Timeout>,
  ...Extra<Given, 'rateLimit', TokenBucket>,
  ...Part<Given, 'hedge', Hedge>,
  ...Part<Given, 'circuitBreaker', PerKey<CircuitBreaker>>,
  ...Part<Given, 'bulkhead', PerKey<Bulkhead>>,
  ...Part<Given, 'attemptTimeout', Timeout>,
];

type Settings = { readonly [Name in keyof HedgedHttpPresetOptions]-?: NonNullable<HedgedHttpPresetOptions[Name]> | false };

const hedgedHttpFields: Fields<Settings> = {
  timeout: partField<TimeoutOptions>().or({}),
  rateLimit: partField<TokenBucketOptions>().or(false),
  hedge: partField<HedgeOptions>().or({}),
  circuitBreaker: partField<CircuitBreakerOptions>().or({}),
  bulkhead: partField<Partial<BulkheadOptions>>().or({}),
  attemptTimeout: partField<TimeoutOptions>().or({}),
};

/**
 * Policies for calls to a service whose slow answers matter more than its errors, in the recommended order, as an array to edit: a hedge where `presets.http` has a retry. Give
 * each call the origin it goes to as its `key`, and say whether it is `idempotent`.
 *
 * @throws OptionsError if an option is wrong
 *
 * @example
 * ```ts
 * import { pipeline, presets } from 'breakwater';
 *
 * const lookup = pipeline(presets.hedgedHttp({ hedge: { delay: '50ms' } }));
 * console.log(await lookup.execute(() => 'found', { key: 'https://lookup.example', idempotent: true })); // => 'found'
 * ```
 */
export function hedgedHttp<const Given extends HedgedHttpPresetOptions = object>(options?: Given): HedgedHttpPreset<Given> {
  const given = readOptions<Settings>('presets.hedgedHttp', hedgedHttpFields, options);
  return [
    ...part(given.timeout, total),
    ...part(given.rateLimit, (own) => tokenBucket({ name: 'rate-limit', ...own })),
    ...part(given.hedge, (own) => hedge({ name: 'hedge', delay: { quantile: 0.95, fallback: '2s' }, ...own })),
    ...part(given.circuitBreaker, circuits),
    ...part(given.bulkhead, slots),
    ...part(given.attemptTimeout, attempt),
  ] as unknown as HedgedHttpPreset<Given>;
}
