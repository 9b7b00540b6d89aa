/**
 * The shapes in which services tell clients what is left of a rate limit: that of the current draft, and the older ones that express-rate-limit made common.
 */

import { createHash } from 'node:crypto';
import { wholePart } from './bounds.ts';
import { type AdvertisedQuota, tellable, wholeSeconds, writeRateLimit, writeRateLimitPolicy, writtenName } from './rate-limit.ts';
import { writeBytes } from './structured-fields.ts';

/**
 * - `'draft-11'`: `RateLimit-Policy: "api";q=5;w=60` and `RateLimit: "api";r=4;t=60`, for all quotas.
 * - `'draft-8'`: the same as express-rate-limit writes it, with blanks, and the partition with the policy only.
 * - `'draft-7'`: `RateLimit-Policy: 5;w=60` and `RateLimit: limit=5, remaining=4, reset=60`.
 * - `'draft-6'`: `RateLimit-Policy: 5;w=60`, `RateLimit-Limit: 5`, `RateLimit-Remaining: 4`, `RateLimit-Reset: 60`.
 * - `'legacy'`: `X-RateLimit-Limit: 5`, `X-RateLimit-Remaining: 4`, and `X-RateLimit-Reset`, seconds since the epoch.
 *
 * The last three tell what is left of one quota: that with the least remaining.
 */
export type RateLimitShape = 'draft-6' | 'draft-7' | 'draft-8' | 'draft-11' | 'legacy';

/** All shapes. */
export const rateLimitShapes: readonly RateLimitShape[] = Object.freeze(['draft-6', 'draft-7', 'draft-8', 'draft-11', 'legacy'] as const);

/** Fields by their lower-case names. */
export type RateLimitFields = Readonly<Record<string, string>>;

const nothing: RateLimitFields = Object.freeze({});

/** The fields of a shape; none if no quota has a limit to tell. `wallNow` (epoch ms) is for `'legacy'` alone. */
export function rateLimitFields(shape: RateLimitShape, quotas: readonly AdvertisedQuota[], wallNow: number): RateLimitFields {
  const told = tellable(quotas);
  const tightest = tightestOf(told);
  return tightest === undefined ? nothing : writers[shape](told, tightest, wallNow);
}

/** A client's key so that it can be shown: twelve hexadecimal digits of its SHA-256. It tells clients apart; an address can be guessed from it by trying all. */
export function partitionKey(key: string): string {
  return createHash('sha256').update(key).digest('hex').slice(0, 12);
}

/** A name for a limit that has none: `8-in-2days`. */
export function quotaName(limit: number, windowMs: number): string {
  const [, ms, unit] = nameUnits.find(([below]) => windowMs < below) ?? days;
  const count = windowMs / ms;
  return `${limit}-in-${count}${unit}${count > 1 && ms >= HOUR ? 's' : ''}`;
}

type Write = (quotas: readonly AdvertisedQuota[], tightest: AdvertisedQuota, wallNow: number) => RateLimitFields;

const writers: Readonly<Record<RateLimitShape, Write>> = {
  'draft-11': (quotas) => ({
    'ratelimit-policy': writeRateLimitPolicy(quotas) as string,
    ratelimit: writeRateLimit(quotas) as string,
  }),
  'draft-8': (quotas) => ({
    'ratelimit-policy': quotas
      .map((quota) => `${writtenName(quota.policy)}; q=${wholePart(quota.limit)}${windowOf(quota, '; ')}${partitionOf(quota)}`)
      .join(', '),
    ratelimit: quotas.map((quota) => `${writtenName(quota.policy)}; r=${wholePart(quota.remaining)}; t=${resetOf(quota)}`).join(', '),
  }),
  'draft-7': (quotas, tightest) => ({
    'ratelimit-policy': plainPolicies(quotas),
    ratelimit: `limit=${wholePart(tightest.limit)}, remaining=${wholePart(tightest.remaining)}, reset=${resetOf(tightest)}`,
  }),
  'draft-6': (quotas, tightest) => ({
    'ratelimit-policy': plainPolicies(quotas),
    'ratelimit-limit': String(wholePart(tightest.limit)),
    'ratelimit-remaining': String(wholePart(tightest.remaining)),
    'ratelimit-reset': String(resetOf(tightest)),
  }),
  legacy: (_quotas, tightest, wallNow) => ({
    'x-ratelimit-limit': String(wholePart(tightest.limit)),
    'x-ratelimit-remaining': String(wholePart(tightest.remaining)),
    'x-ratelimit-reset': String(wholeSeconds(wallNow + knownReset(tightest)) ?? 0),
  }),
};

/** The one that lets the fewest through; of equals, the one that takes longest. */
function tightestOf(quotas: readonly AdvertisedQuota[]): AdvertisedQuota | undefined {
  let tightest = quotas[0];
  for (const quota of quotas) {
    const other = tightest as AdvertisedQuota;
    if (quota.remaining < other.remaining || (quota.remaining === other.remaining && quota.reset > other.reset)) tightest = quota;
  }
  return tightest;
}

/** Seconds until more is available. */
function resetOf(quota: AdvertisedQuota): number {
  return wholeSeconds(knownReset(quota)) ?? 0;
}

/** ms until more is available. Older shapes cannot say that this is not known: the window stands in. */
function knownReset({ reset, window }: AdvertisedQuota): number {
  return Number.isFinite(reset) ? reset : Number.isFinite(window) ? window : 0;
}

function plainPolicies(quotas: readonly AdvertisedQuota[]): string {
  return quotas.map((quota) => `${wholePart(quota.limit)}${windowOf(quota, ';')}`).join(', ');
}

function windowOf({ window }: AdvertisedQuota, separator: string): string {
  const seconds = wholeSeconds(window);
  return seconds === undefined ? '' : `${separator}w=${Math.max(seconds, 1)}`;
}

function partitionOf({ partition }: AdvertisedQuota): string {
  return partition === undefined ? '' : `; pk=${writeBytes(Buffer.from(partition))}`;
}

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

type NameUnit = readonly [below: number, ms: number, unit: string];

const days: NameUnit = [Infinity, DAY, 'day'];

const nameUnits: readonly NameUnit[] = [[60_000, 1000, 'sec'], [HOUR, 60_000, 'min'], [DAY, HOUR, 'hr'], days];
