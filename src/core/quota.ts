import { OptionsError } from './errors.ts';
import { show } from './options.ts';

/** What one rate limit allows, and how much of that is left. */
export interface Quota {
  /** What the pipeline calls the policy, or the limit within it. */
  readonly policy: string;
  /** How much may pass in one window; of a bucket, all at once. */
  readonly limit: number;
  /** The window, or the time in which an empty bucket fills, ms. */
  readonly window: number;
  /** How much would pass at once now, fractions included: at least 0, and 0 while calls wait. */
  readonly remaining: number;
  /** Milliseconds until more than that would; 0 if waiting brings no more. Where no call passes now, until one is let in, if only to wait. */
  readonly reset: number;
}

/** What a key, or everybody, is allowed. */
export interface QuotaOptions {
  /** The key of the calls that it is about. @defaultValue none */
  readonly key?: string | undefined;
}

/** What there is if nothing is limited. */
export const noQuotas: readonly Quota[] = Object.freeze([]);

/** @throws OptionsError */
export function readKey(path: string, options: QuotaOptions | undefined): string | undefined {
  if (options === undefined) return undefined;
  const given: unknown = options;
  const { key } = Object(given) as { readonly key?: unknown };
  if (typeof given === 'object' && given !== null && (key === undefined || typeof key === 'string')) return key;
  throw new OptionsError([{ path, expected: 'an object with key, a string', got: typeof given === 'object' ? show(key) : show(given) }]);
}
