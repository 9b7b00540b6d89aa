/**
 * The wait that an answer asks for: HTTP and gRPC headers read as milliseconds. What cannot be read asks for nothing, and nothing here answers with NaN,
 * a negative number or, but for gRPC's "do not retry", `Infinity`.
 */

/** No wait is longer, ms; sums with it stay exact. */
const LONGEST = Number.MAX_SAFE_INTEGER;

/** Longer values are no headers of this kind. */
const LONGEST_VALUE = 1024;

/**
 * Milliseconds that a `Retry-After` asks for: whole seconds, or a date in one of the three forms of RFC 9110 5.6.7. A date that has passed is 0; anything else is
 * `undefined`. `wallNow` is the wall clock, epoch ms.
 */
export function parseRetryAfter(value: string, wallNow: number): number | undefined {
  const text = value.length > LONGEST_VALUE ? '' : value.trim();
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1000, LONGEST);
  const date = parseHttpDate(text, wallNow);
  return date === undefined ? undefined : Math.max(0, date - wallNow);
}

/** What gRPC's pushback says (proposal A6): ms, or `Infinity` for "do not retry", which is anything that is no number from 0. */
export function parsePushback(value: string): number {
  const text = value.length > LONGEST_VALUE ? '' : value.trim();
  return /^\d+$/.test(text) ? Math.min(Number(text), LONGEST) : Infinity;
}

/**
 * The wait (ms) that headers ask for: a `Headers` object, anything else with `get(name)`, or a record, in which case names may be spelled in any case and values may be
 * arrays. The first of these that can be read counts: `Retry-After-Ms`, `Retry-After`, `grpc-retry-pushback-ms`, `RateLimit` (of the policies with nothing remaining, the
 * longest), `RateLimit-Reset` and `X-RateLimit-Reset` (seconds from now or since the epoch; not if something is said to remain).
 *
 * `Infinity` means that the service asks not to be tried again (gRPC pushback), `undefined` that it says nothing.
 */
export function retryAfterFrom(headers: object, wallNow: number): number | undefined {
  try {
    const read = reader(headers);
    return (
      parseMs(read('retry-after-ms')) ??
      given(read('retry-after'), (value) => parseRetryAfter(value, wallNow)) ??
      given(read('grpc-retry-pushback-ms'), parsePushback) ??
      given(read('ratelimit'), parseRateLimit) ??
      resetOf(read('ratelimit-reset'), read('ratelimit-remaining'), wallNow) ??
      resetOf(read('x-ratelimit-reset'), read('x-ratelimit-remaining'), wallNow)
    );
  } catch {
    // Headers that throw when they are looked at ask for nothing.
    return undefined;
  }
}

type Read = (name: string) => string | undefined;

function reader(headers: object): Read {
  const { get } = headers as { readonly get?: unknown };
  if (typeof get === 'function') return (name) => textOf((get as (name: string) => unknown).call(headers, name));
  const names = new Map(Object.keys(headers).map((name) => [name.toLowerCase(), name]));
  return (name) => {
    const own = names.get(name);
    return own === undefined ? undefined : textOf((headers as Readonly<Record<string, unknown>>)[own]);
  };
}

function textOf(value: unknown): string | undefined {
  const one: unknown = Array.isArray(value) ? value[0] : value;
  if (typeof one === 'number') return String(one);
  return typeof one === 'string' && one.length <= LONGEST_VALUE ? one : undefined;
}

function given(value: string | undefined, parse: (value: string) => number | undefined): number | undefined {
  return value === undefined ? undefined : parse(value);
}

function parseMs(value: string | undefined): number | undefined {
  const ms = numberOf(value);
  return ms === undefined ? undefined : Math.min(ms, LONGEST);
}

/** A number from 0, written with digits and at most one point. */
function numberOf(value: string | undefined): number | undefined {
  const text = value?.trim() ?? '';
  return /^\d+(?:\.\d+)?$/.test(text) ? Number(text) : undefined;
}

/** `RateLimit: "default";r=0;t=60` (draft-ietf-httpapi-ratelimit-headers), or `limit=9, remaining=0, reset=60` (its seventh version). */
function parseRateLimit(value: string): number | undefined {
  let longest: number | undefined;
  // Names of policies are strings in which anything may stand.
  const bare = value.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""');
  const items = /(?:^|[,\s])remaining\s*=/.test(bare) ? [bare.replaceAll(',', ';')] : bare.split(',');
  for (const item of items) {
    const parameters = new Map(item.split(';').map((part) => part.trim().split('=', 2) as [string, string | undefined]));
    const remaining = numberOf(parameters.get('r') ?? parameters.get('remaining'));
    const reset = numberOf(parameters.get('t') ?? parameters.get('reset'));
    if (remaining === 0 && reset !== undefined) longest = Math.max(longest ?? 0, Math.min(reset * 1000, LONGEST));
  }
  return longest;
}

/** Seconds up to here count from now, above from the epoch: 1e9 s are 31 years. */
const EPOCH_FROM = 1e9;

function resetOf(reset: string | undefined, remaining: string | undefined, wallNow: number): number | undefined {
  const seconds = numberOf(reset);
  if (seconds === undefined || (remaining !== undefined && numberOf(remaining) !== 0)) return undefined;
  const ms = Math.min(seconds * 1000, LONGEST);
  return seconds < EPOCH_FROM ? ms : Math.max(0, ms - wallNow);
}

const monthNames = 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ');

/** IMF-fixdate, the form of RFC 850 (with a year of two digits), and that of C's asctime. */
const dateForms = [
  /^[a-z]{3}, (?<day>\d{1,2}) (?<month>[a-z]{3}) (?<year>\d{4}) (?<time>\d\d:\d\d:\d\d) (?:GMT|UTC)$/i,
  /^[a-z]{6,9}, (?<day>\d\d)-(?<month>[a-z]{3})-(?<year>\d\d) (?<time>\d\d:\d\d:\d\d) GMT$/i,
  /^[a-z]{3} (?<month>[a-z]{3}) (?<day>[ \d]\d) (?<time>\d\d:\d\d:\d\d) (?<year>\d{4})$/i,
];

/** Epoch ms of an HTTP-date; `undefined` if it is none, or a day or an hour that does not exist. */
function parseHttpDate(text: string, wallNow: number): number | undefined {
  for (const form of dateForms) {
    const parts = form.exec(text)?.groups as Readonly<Record<'day' | 'month' | 'year' | 'time', string>> | undefined;
    if (parts !== undefined) return dateOf(parts, wallNow);
  }
  return undefined;
}

function dateOf(parts: Readonly<Record<'day' | 'month' | 'year' | 'time', string>>, wallNow: number): number | undefined {
  const day = Number(parts.day);
  const month = monthNames.indexOf(parts.month.toLowerCase());
  const [hour, minute, second] = parts.time.split(':').map(Number) as [number, number, number];
  // A second of 60 is a leap second.
  if (month < 0 || hour > 23 || minute > 59 || second > 60) return undefined;
  const year = parts.year.length === 2 ? fullYear(Number(parts.year), wallNow) : Number(parts.year);
  if (day < 1 || day > daysIn(year, month)) return undefined;
  return ((daysBefore(year, month) + day - 1) * 1440 + hour * 60 + minute) * 60_000 + second * 1000;
}

const lengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

function daysIn(year: number, month: number): number {
  const leaps = month === 1 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return (lengths[month] as number) + (leaps ? 1 : 0);
}

/** Days from the epoch to the first of a month, in the calendar that all dates on the wire are in. */
function daysBefore(year: number, month: number): number {
  const before = year - 1;
  let days = before * 365 + Math.floor(before / 4) - Math.floor(before / 100) + Math.floor(before / 400) - 719_162;
  for (let m = 0; m < month; m++) days += daysIn(year, m);
  return days;
}

/** Ms in a year of the calendar, on average. */
const YEAR = 365.2425 * 86_400_000;

/** A year of two digits is the last such year if it would be more than 50 years ahead (RFC 9110 5.6.7). */
function fullYear(twoDigits: number, wallNow: number): number {
  const thisYear = 1970 + Math.floor(wallNow / YEAR);
  const year = thisYear - (thisYear % 100) + twoDigits;
  return year > thisYear + 50 ? year - 100 : year;
}
