import { type OptionProblem } from '../../core/errors.ts';
import { Field, type Fields, count, group, show } from '../../core/options.ts';

/** What one key is allowed instead, in each window. */
export interface KeyLimit {
  readonly limit: number;
}

const limitField = group<KeyLimit>({ limit: count() } satisfies Fields<KeyLimit>);
const expected = 'an object of { limit } or false for keys';

/** Keys that have a limit of their own, or none. */
export const valuesField: Field<ReadonlyMap<string, KeyLimit | false>> = new Field(expected, read);

function read(given: unknown, path: string, problems: OptionProblem[]): ReadonlyMap<string, KeyLimit | false> {
  const values = new Map<string, KeyLimit | false>();
  if (typeof given !== 'object' || given === null || Array.isArray(given)) problems.push({ path, expected, got: show(given) });
  else
    for (const [key, value] of Object.entries(given as Record<string, unknown>))
      values.set(key, value === false ? false : limitField.read(value, `${path}[${show(key)}]`, problems));
  return values;
}
