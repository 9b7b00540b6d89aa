/**
 * The option reader. Each policy has one table of fields: what is allowed, what is the default (nowhere else), and from it come the
 * checks at construction, the messages, and the tables in the docs.
 */

import { nameHere } from './foreign-names.ts';
import { type OptionProblem, OptionsError } from './errors.ts';

/** Milliseconds, or a number with its unit. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h'}`;

/** The table of a policy's options: one field for each. */
export type Fields<Settings> = { readonly [Name in keyof Settings]-?: Field<Settings[Name]> };

type Read<T> = (value: unknown, path: string, problems: OptionProblem[]) => T;

/** One option: what it accepts, in words and in code, and what stands when it is not given. */
export class Field<out T> {
  readonly expected: string;
  /** As a user would write it; `undefined` if there is none. */
  readonly fallback: unknown;
  readonly required: boolean;
  /** Fields of a nested object. */
  readonly nested: Fields<Record<string, unknown>> | undefined;
  readonly #read: Read<T>;

  constructor(expected: string, read: Read<T>, fallback?: unknown, required = true, nested?: Fields<Record<string, unknown>>) {
    this.expected = expected;
    this.#read = read;
    this.fallback = fallback;
    this.required = required;
    this.nested = nested;
  }

  /** The same field with a default, written as a user would write it. */
  or(fallback: unknown): Field<T> {
    return new Field(this.expected, this.#read, fallback, false, this.nested);
  }

  /** The same field, and nothing stands if it is not given. */
  optional(): Field<T | undefined> {
    return new Field<T | undefined>(this.expected, this.#read, undefined, false, this.nested);
  }

  /** The same field, or a function that is asked for the value each time. */
  orFunction<F>(signature: string): Field<T | F> {
    const read: Read<T | F> = (value, path, problems) => (typeof value === 'function' ? (value as F) : this.#read(value, path, problems));
    return new Field<T | F>(`${this.expected}, or ${signature}`, read, this.fallback, this.required, this.nested);
  }

  /** Reads what was given, or the default; what is wrong is added to `problems`. */
  read(value: unknown, path: string, problems: OptionProblem[]): T {
    const given = value === undefined ? this.fallback : value;
    if (given === undefined) {
      if (this.required) problems.push({ path, expected: this.expected, got: 'nothing' });
      return undefined as T;
    }
    return this.#read(given, path, problems);
  }
}

/** A field that accepts what `accept` turns into a value; `undefined` means no. */
export function field<T>(expected: string, accept: (value: unknown) => T | undefined): Field<T> {
  return new Field<T>(expected, (value, path, problems) => {
    const accepted = accept(value);
    if (accepted === undefined) problems.push({ path, expected, got: show(value) });
    return accepted as T;
  });
}

/** Tells a value for an error message, shortened. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 57)}...` : value);
  if (typeof value === 'function') return 'a function';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'bigint' ? `${value}n` : String(value);
}

const durationForm = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/;
const unit: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds of a duration, or `undefined` if it is none. `Infinity` counts as one, negative numbers do not. */
export function parseDuration(value: unknown): number | undefined {
  if (typeof value === 'number') return value >= 0 ? value : undefined;
  const parts = typeof value === 'string' && value.length < 32 ? durationForm.exec(value) : null;
  return parts === null ? undefined : Number(parts[1]) * (unit[parts[2] as string] as number);
}

/** A time span, read as ms. */
export function duration({ min = 0, infinite = false }: { min?: number; infinite?: boolean } = {}): Field<number> {
  const bound = min > 0 ? ` of at least ${min} ms` : '';
  const expected = `a duration${bound}: ms, or a number with its unit such as '250ms', '2s', '1m', '1h'${infinite ? ', or Infinity' : ''}`;
  return field(expected, (value) => {
    const ms = parseDuration(value);
    return ms === undefined || ms < min || (ms === Infinity && !infinite) ? undefined : ms;
  });
}

/** A whole number. */
export function count({ min = 0, infinite = false }: { min?: number; infinite?: boolean } = {}): Field<number> {
  return field(`a whole number of at least ${min}${infinite ? ', or Infinity' : ''}`, (value) =>
    typeof value === 'number' && value >= min && (Number.isSafeInteger(value) || (infinite && value === Infinity)) ? value : undefined,
  );
}

/** A finite number above `above` (or from `min`) up to `max`. */
export function numeric({ above, min, max }: { above?: number; min?: number; max?: number }): Field<number> {
  const bounds = [
    above === undefined ? '' : `above ${above}`,
    min === undefined ? '' : `of at least ${min}`,
    max === undefined ? '' : `up to ${max}`,
  ];
  return field(['a number', ...bounds].filter(Boolean).join(' '), (value) =>
    typeof value === 'number' &&
    Number.isFinite(value) &&
    value > (above ?? -Infinity) &&
    value >= (min ?? -Infinity) &&
    value <= (max ?? Infinity)
      ? value
      : undefined,
  );
}

/** A share, 0 to 1. */
export function ratio({ above = false }: { above?: boolean } = {}): Field<number> {
  return above ? numeric({ above: 0, max: 1 }) : numeric({ min: 0, max: 1 });
}

/** True or false. */
export function flag(): Field<boolean> {
  return field('true or false', (value) => (typeof value === 'boolean' ? value : undefined));
}

/** A string that is not empty. */
export function text(): Field<string> {
  return field('a string that is not empty', (value) => (typeof value === 'string' && value !== '' ? value : undefined));
}

/** One of these words. */
export function oneOf<const Words extends readonly string[]>(...words: Words): Field<Words[number]> {
  return field(words.map((word) => `'${word}'`).join(', '), (value) =>
    words.includes(value as string) ? (value as Words[number]) : undefined,
  );
}

/** A function of this signature. */
export function fn<F>(signature: string): Field<F> {
  return field(`a function ${signature}`, (value) => (typeof value === 'function' ? (value as F) : undefined));
}

/** Anything but `undefined`. */
export function anything<T = unknown>(expected = 'any value'): Field<T> {
  return field(expected, (value) => value as T);
}

/** An object with options of its own; `lift` lets a shorter form stand for it. */
export function group<Settings>(fields: Fields<Settings>, lift?: (value: unknown) => unknown): Field<Settings> {
  const read: Read<Settings> = (value, path, problems) => readFields(path, fields, lift === undefined ? value : lift(value), problems);
  return new Field<Settings>(`an object with ${Object.keys(fields).join(', ')}`, read, undefined, true, fields);
}

/** A rule that spans several options: answers with what is wrong, if anything is. */
export type Rule<Settings> = (settings: Settings) => OptionProblem | undefined;

/**
 * Reads what a user gave for a policy: unknown and wrong options are refused, all problems at once, and the result is frozen.
 *
 * @throws OptionsError
 */
export function readOptions<Settings extends object>(
  owner: string,
  fields: Fields<Settings>,
  given: unknown,
  ...rules: readonly Rule<Settings>[]
): Readonly<Settings> {
  const problems: OptionProblem[] = [];
  const settings = readFields(owner, fields, given === undefined ? {} : given, problems);
  if (problems.length === 0) {
    for (const rule of rules) {
      const problem = rule(settings);
      if (problem !== undefined) problems.push({ ...problem, path: `${owner}.${problem.path}` });
    }
  }
  const [first, ...others] = problems;
  if (first !== undefined) throw new OptionsError([first, ...others]);
  return Object.freeze(settings);
}

function readFields<Settings>(owner: string, fields: Fields<Settings>, given: unknown, problems: OptionProblem[]): Settings {
  const settings = {} as Record<string, unknown>;
  const names = Object.keys(fields) as (keyof Settings & string)[];
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    problems.push({ path: owner, expected: `an object with ${names.join(', ')}`, got: show(given) });
    return settings as Settings;
  }
  for (const name of Object.keys(given)) {
    if (!Object.hasOwn(fields, name))
      problems.push({ path: `${owner}.${name}`, expected: `one of ${names.join(', ')}${nearest(name, names)}`, got: 'an unknown option' });
  }
  for (const name of names) {
    const value = Object.hasOwn(given, name) ? (given as Record<string, unknown>)[name] : undefined;
    settings[name] = fields[name].read(value, `${owner}.${name}`, problems);
  }
  return settings as Settings;
}

function nearest(wrong: string, names: readonly string[]): string {
  const close = names.find((name) => name.toLowerCase() === wrong.toLowerCase()) ?? names.find((name) => distance(name, wrong) <= 2);
  const meant = close ?? nameHere(wrong, names);
  return meant === undefined ? '' : ` (did you mean ${meant}?)`;
}

/** Levenshtein distance, bounded by what is worth a suggestion. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return Infinity;
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1));
    }
    row = next;
  }
  return row[b.length] as number;
}
