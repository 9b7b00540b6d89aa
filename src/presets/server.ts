import { type Fields, readOptions } from '../core/options.ts';
import { type AdaptiveLimiter, type AdaptiveLimiterOptions, adaptiveLimiter } from '../policies/adaptive-limiter.ts';
import { type Authority, type AuthorityOptions, authority } from '../policies/authority.ts';
import type { PerKey } from '../policies/per-key.ts';
import { type SystemGuard, type SystemGuardOptions, systemGuard } from '../policies/system-guard.ts';
import { type Timeout, type TimeoutOptions, timeout } from '../policies/timeout.ts';
import { type TokenBucket, type TokenBucketOptions, tokenBucket } from '../policies/token-bucket.ts';
import { type Extra, type Part, type PartSettings, keyed, part, partField } from './parts.ts';

/** Options of {@link server}: for each part those of its policy, or `false` to leave it out. */
export interface ServerPresetOptions {
  /** Bounds the whole call. @defaultValue `{ after: '30s' }` */
  readonly timeout?: TimeoutOptions | false;
  /** Whose calls are let in. @defaultValue `false` */
  readonly authority?: AuthorityOptions | false;
  /** Refuses calls while the process is overloaded, the least important first. @defaultValue `{}` */
  readonly systemGuard?: SystemGuardOptions | false;
  /** Bounds how many calls of each `call.key` begin. @defaultValue `false` */
  readonly rateLimit?: TokenBucketOptions | false;
  /** Bounds how many run at once, by what they show to be good for. @defaultValue `{ initial: 100, max: 1000 }` */
  readonly adaptiveLimiter?: AdaptiveLimiterOptions | false;
}

/** The policies that {@link server} makes of these options, outermost first. */
export type ServerPreset<Given = object> = [
  ...Part<Given, 'timeout', Timeout>,
  ...Extra<Given, 'authority', Authority>,
  ...Part<Given, 'systemGuard', SystemGuard>,
  ...Extra<Given, 'rateLimit', PerKey<TokenBucket>>,
  ...Part<Given, 'adaptiveLimiter', AdaptiveLimiter>,
];

const serverFields: Fields<PartSettings<ServerPresetOptions>> = {
  timeout: partField<TimeoutOptions>().or({}),
  authority: partField<AuthorityOptions>().or(false),
  systemGuard: partField<SystemGuardOptions>().or({}),
  rateLimit: partField<TokenBucketOptions>().or(false),
  adaptiveLimiter: partField<AdaptiveLimiterOptions>().or({}),
};

/**
 * Policies for calls that come in, in the recommended order, as an array to edit. Give each call whom it is from as its `key`, and how much it matters as its `priority`.
 *
 * @throws OptionsError if an option is wrong
 *
 * @example
 * ```ts
 * import { pipeline, presets } from 'breakwater';
 *
 * const incoming = pipeline(presets.server({ rateLimit: { rate: 1, per: '1m' } }));
 * const outcomes = await Promise.all(['ada', 'ada', 'bob'].map((key) => incoming.executeOutcome(() => 'served', { key })));
 * console.log(outcomes.map(({ ok }) => ok)); // => [true, false, true]
 * ```
 */
export function server<const Given extends ServerPresetOptions = object>(options?: Given): ServerPreset<Given> {
  const given = readOptions('presets.server', serverFields, options);
  return [
    ...part(given.timeout, (own) => timeout({ after: '30s', name: 'total-timeout', ...own })),
    ...part(given.authority, (own) => authority({ name: 'authority', ...own })),
    ...part(given.systemGuard, (own) => systemGuard({ name: 'system-guard', ...own })),
    ...part(given.rateLimit, keyed('rate-limit', tokenBucket)),
    ...part(given.adaptiveLimiter, (own) => adaptiveLimiter({ name: 'adaptive-limiter', initial: 100, max: 1000, ...own })),
  ] as unknown as ServerPreset<Given>;
}
