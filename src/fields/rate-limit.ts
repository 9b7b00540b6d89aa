/**
 * What is left of a rate limit, as the fields `RateLimit` and `RateLimit-Policy` say it (draft-ietf-httpapi-ratelimit-headers, version 11; the syntax is that of version 8).
 * Times are whole seconds on the wire, ms here.
 *
 * ```ts
 * const burst = { policy: 'burst', limit: 100, window: 60_000, remaining: 50, reset: 30_000 };
 * writeRateLimitPolicy([burst]); // => '"burst";q=100;w=60'
 * writeRateLimit([burst]); // => '"burst";r=50;t=30'
 * parseRateLimit('"burst";r=50;t=30'); // => [{ policy: 'burst', remaining: 50, reset: 30_000 }]
 * ```
 *
 * @module
 */

import { MOST_MEMBERS, wholePart } from './bounds.ts';
import { writeBytes, writeSafeString } from './structured-fields.ts';

/** What a limiter says of itself. */
export interface Quota {
  /** Name of the limiter. */
  readonly policy: string;
  /** So many in a window. */
  readonly limit: number;
  /** ms. */
  readonly window: number;
  /** So many more now. */
  readonly remaining: number;
  /** ms until more is available. */
  readonly reset: number;
}

/** The same, with what else the fields can say. */
export interface AdvertisedQuota extends Quota {
  /** What is counted. @defaultValue requests */
  readonly unit?: 'requests' | 'content-bytes' | 'concurrent-requests' | undefined;
  /** Whose quota it is: anything that tells clients apart and may be seen by them (see `partitionKey`). */
  readonly partition?: string | undefined;
}

/** Longest name that is sent, characters. */
const LONGEST_NAME = 255;

/**
 * The value of `RateLimit-Policy`: the limits as they stand. `undefined` if none of the quotas has a limit to tell.
 * A window that is not finite is left out; what is counted is left out when it is requests. Characters of names that cannot stand in a field become `_`.
 */
export function writeRateLimitPolicy(quotas: readonly AdvertisedQuota[]): string | undefined {
  return written(quotas, (quota) => {
    const unit = quota.unit === undefined || quota.unit === 'requests' ? '' : `;qu="${quota.unit}"`;
    const window = wholeSeconds(quota.window);
    return `;q=${wholePart(quota.limit)}${unit}${window === undefined ? '' : `;w=${Math.max(window, 1)}`}`;
  });
}

/** The value of `RateLimit`: what is left now. `undefined` as above; a reset that is not known (not finite) is left out. */
export function writeRateLimit(quotas: readonly AdvertisedQuota[]): string | undefined {
  return written(quotas, (quota) => {
    const reset = wholeSeconds(quota.reset);
    return `;r=${wholePart(quota.remaining)}${reset === undefined ? '' : `;t=${reset}`}`;
  });
}

/** Whole seconds of ms, rounded up, never negative; `undefined` if it is no number or beyond all numbers. */
export function wholeSeconds(ms: number): number | undefined {
  return Number.isFinite(ms) ? wholePart(Math.ceil(ms / 1000)) : undefined;
}

/** The quotas that have a limit, no more of them than a field may have. */
export function tellable<Each extends Quota>(quotas: readonly Each[]): readonly Each[] {
  return quotas.length <= MOST_MEMBERS && quotas.every(hasLimit) ? quotas : quotas.filter(hasLimit).slice(0, MOST_MEMBERS);
}

/** A limiter's name in quotes, as it is sent. */
export function writtenName(name: string): string {
  return writeSafeString(name.length > LONGEST_NAME ? name.slice(0, LONGEST_NAME) : name);
}

function written(quotas: readonly AdvertisedQuota[], parameters: (quota: AdvertisedQuota) => string): string | undefined {
  let value = '';
  for (const quota of tellable(quotas)) {
    const partition = quota.partition === undefined ? '' : `;pk=${writeBytes(Buffer.from(quota.partition))}`;
    value += `${value === '' ? '' : ', '}${writtenName(quota.policy)}${parameters(quota)}${partition}`;
  }
  return value === '' ? undefined : value;
}

function hasLimit({ limit }: Quota): boolean {
  return Number.isFinite(limit);
}
