import type { Band } from '../../algorithms/degradation.ts';
import { type Duration, Field, count, duration, field, fn, group, numeric, ratio } from '../../core/options.ts';
import { type OptionProblem } from '../../core/errors.ts';
import type { AutomaticSettings, LoadSettings } from './automatic-degradation.ts';
import { nameField } from './order-book.ts';

/** A measure of one's own. */
export interface LoadOptions extends Band {
  /** Answers with the load; what the number means is up to the band. */
  readonly measure: () => number;
}

/** By what a feature is degraded by itself. At least one of the first four is given. */
export interface AutomaticOptions {
  /** Share of failed calls from which on it is degraded; it recovers at half of that, or as the band says. @defaultValue none */
  readonly failureRate?: number | Band;
  /** Share of calls that timed out, likewise. @defaultValue none */
  readonly timeoutRate?: number | Band;
  /** A load, with the band it is held against; a bare function is held against 0.9 and 0.7. @defaultValue none */
  readonly load?: LoadOptions | (() => number);
  /** Circuit breakers: while one is open the feature is at the first lesser level at least, and it recovers when all are closed. @defaultValue none */
  readonly openCircuits?: readonly { readonly state: string }[];
  /** How long a call counts for the rates. @defaultValue `'30s'` */
  readonly window?: Duration;
  /** Calls that a rate needs to say something. @defaultValue `20` */
  readonly minCalls?: number;
  /** How long a lesser level is kept at least; after relapses longer, up to eight times. @defaultValue `'30s'` */
  readonly minDwell?: Duration;
  /** The level it never goes below by itself. @defaultValue the last */
  readonly deepest?: string;
}

/** The same, as read; the deepest level by its name. */
export type AutomaticOptionsRead = Omit<AutomaticSettings, 'deepest'> & { readonly deepest: string | undefined };

function lifted<T>(form: string, whole: Field<T>, lift: (value: unknown) => unknown, accepts: (value: unknown) => boolean): Field<T> {
  return new Field(
    `${form}, or ${whole.expected}`,
    (value, path, problems) => whole.read(accepts(value) ? lift(value) : value, path, problems),
    undefined,
    true,
    whole.nested,
  );
}

const isShare = (value: unknown): boolean => typeof value === 'number' && value > 0 && value <= 1;

const rate: Field<Band> = lifted(
  'a number above 0 up to 1',
  banded(group<Band>({ enterAt: ratio({ above: true }), leaveAt: ratio() })),
  (value) => ({ enterAt: value, leaveAt: Number(value) / 2 }),
  isShare,
);

const anyNumber = numeric({});

const load: Field<LoadSettings> = lifted(
  'a function () => number',
  banded(group<LoadSettings>({ measure: fn<() => number>('() => number'), enterAt: anyNumber, leaveAt: anyNumber })),
  (value) => ({ measure: value, enterAt: 0.9, leaveAt: 0.7 }),
  (value) => typeof value === 'function',
);

const circuits = field<readonly { readonly state: string }[]>('an array of circuit breakers', (value) =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.every((each: unknown) => typeof (Object(each) as { state?: unknown }).state === 'string')
    ? [...(value as readonly { readonly state: string }[])]
    : undefined,
);

const whole = group<AutomaticOptionsRead>({
  failureRate: rate.optional(),
  timeoutRate: rate.optional(),
  load: load.optional(),
  openCircuits: circuits.optional(),
  window: duration({ min: 1, infinite: true }).or('30s'),
  minCalls: count({ min: 1 }).or(20),
  minDwell: duration({ min: 1 }).or('30s'),
  deepest: nameField.optional(),
});

/** The field for a policy's table. */
export const automaticField: Field<AutomaticOptionsRead> = new Field(
  whole.expected,
  (value, path, problems) => {
    const settings = whole.read(value, path, problems);
    const { failureRate, timeoutRate, load: own, openCircuits } = settings;
    if (value === null || typeof value !== 'object' || [failureRate, timeoutRate, own, openCircuits].some((sign) => sign !== undefined))
      return settings;
    problems.push({ path, expected: 'at least one of failureRate, timeoutRate, load and openCircuits', got: 'none' });
    return settings;
  },
  undefined,
  true,
  whole.nested,
);

/** A band is left where things are better than where it is entered. */
function banded<T extends Band>(band: Field<T>): Field<T> {
  const read = (value: unknown, path: string, problems: OptionProblem[]): T => {
    const settings = band.read(value, path, problems);
    if (settings.leaveAt >= settings.enterAt)
      problems.push({ path: `${path}.leaveAt`, expected: `less than enterAt (${settings.enterAt})`, got: String(settings.leaveAt) });
    return settings;
  };
  return new Field(band.expected, read, undefined, true, band.nested);
}
