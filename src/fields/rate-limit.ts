/**
 * What is left of a rate limit, as the fields `RateLimit` and `RateLimit-Policy` say it (draft-ietf-httpapi-ratelimit-headers, version 11; the syntax is that of version 8).
 * Times are whole seconds on the wire, ms here.
 *
 * So `{ policy: 'burst', limit: 100, window: 60_000, remaining: 50, reset: 30_000 }` is `RateLimit-Policy: "burst";q=100;w=60` and `RateLimit: "burst";r=50;t=30`.
 */

import type { Quota } from '../core/quota.ts';
import { MOST_MEMBERS, wholePart } from './bounds.ts';
import { type FieldParameters, parseList, writeBytes, writeSafeString } from './structured-fields.ts';

/** What a limiter says of itself, and what else the fields can say. */
export interface AdvertisedQuota extends Quota {
  /** What is counted. @defaultValue requests */
  readonly unit?: 'requests' | 'content-bytes' | 'concurrent-requests' | undefined;
  /** Whose quota it is: anything that tells clients apart and may be seen by them (see `partitionKey`). */
  readonly partition?: string | undefined;
}

/** A member of `RateLimit-Policy`. */
export interface QuotaPolicy {
  readonly policy: string;
  readonly limit: number;
  /** ms. */
  readonly window?: number;
  /** What is counted; requests if it does not say. */
  readonly unit?: string;
  /** Whose quota it is: bytes, in base64. */
  readonly partition?: string;
}

/** A member of `RateLimit`. */
export interface ServiceLimit {
  readonly policy: string;
  readonly remaining: number;
  /** ms until more is available. */
  readonly reset?: number;
  /** Whose quota it is: bytes, in base64. */
  readonly partition?: string;
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

/** Reads `RateLimit-Policy`. A field with anything malformed in it counts as not there. */
export function parseRateLimitPolicy(value: string): readonly QuotaPolicy[] | undefined {
  return read(value, (policy, parameters) => {
    const limit = numberOf(parameters, 'q');
    const window = numberOf(parameters, 'w');
    const unit = parameters.get('qu');
    const partition = bytesOf(parameters, 'pk');
    // A window is of one second at least.
    if (typeof limit !== 'number' || window === null || window === 0 || partition === null) return undefined;
    if (unit !== undefined && typeof unit !== 'string') return undefined;
    return {
      policy,
      limit,
      ...(window !== undefined && { window: msOf(window) }),
      ...(unit !== undefined && { unit }),
      ...(partition !== undefined && { partition }),
    };
  });
}

/** Reads `RateLimit`. A field with anything malformed in it counts as not there. */
export function parseRateLimit(value: string): readonly ServiceLimit[] | undefined {
  return read(value, (policy, parameters) => {
    const remaining = numberOf(parameters, 'r');
    const reset = numberOf(parameters, 't');
    const partition = bytesOf(parameters, 'pk');
    if (typeof remaining !== 'number' || reset === null || partition === null) return undefined;
    return { policy, remaining, ...(reset !== undefined && { reset: msOf(reset) }), ...(partition !== undefined && { partition }) };
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

/** All members, or nothing. */
function read<Member>(
  value: string,
  member: (policy: string, parameters: FieldParameters) => Member | undefined,
): readonly Member[] | undefined {
  const list = parseList(value);
  if (list === undefined || list.length === 0 || hasDecimal(value)) return undefined;
  const members: Member[] = [];
  for (const [policy, parameters] of list) {
    const one = typeof policy === 'string' ? member(policy, parameters) : undefined;
    if (one === undefined) return undefined;
    members.push(one);
  }
  return members;
}

/** Whether a number of ours has a fraction, if only `.0`: what was read does not tell. Of a field that is well-formed, so that each quote has its other one. */
function hasDecimal(value: string): boolean {
  return value.includes('.') && /; *[qrtw]=-?\d+\./.test(value.replaceAll(/"(?:[^"\\]|\\.)*"/g, ''));
}

/** A whole number from 0; `null` if it is something else. */
function numberOf(parameters: FieldParameters, name: string): number | null | undefined {
  const value = parameters.get(name);
  return value === undefined ? undefined : typeof value === 'number' && Number.isInteger(value) && value >= 0 ? Math.abs(value) : null;
}

/** Bytes, in base64; `null` if it is something else. */
function bytesOf(parameters: FieldParameters, name: string): string | null | undefined {
  const value = parameters.get(name);
  return value === undefined ? undefined : value instanceof ArrayBuffer ? Buffer.from(value).toString('base64') : null;
}

/** ms of seconds; sums with it stay exact. */
function msOf(seconds: number): number {
  return Math.min(seconds * 1000, Number.MAX_SAFE_INTEGER);
}
