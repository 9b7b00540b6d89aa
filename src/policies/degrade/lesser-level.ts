import type { Call } from '../../core/call.ts';
import type { OptionProblem } from '../../core/errors.ts';
import { type Duration, Field, anything, count, duration, fn, group, oneOf, show } from '../../core/options.ts';
import type { FeatureKind } from '../../stores/switchboard/feature-switch.ts';
import { nameField } from '../../stores/switchboard/order-book.ts';
import { Tier } from '../../stores/tier.ts';

/** A level, and what a call gets at it: one of `value`, `run` and `work`, or a refusal. */
export interface DegradeLevel<Name extends string = string> {
  /** What operators call it. */
  readonly name: Name;
  /** What to answer with. */
  readonly value?: unknown;
  /** Or a function that finds an answer in place of the work, and may be asynchronous. */
  readonly run?: (call: Call) => unknown;
  /** Or the work itself, which can ask for the level and do less. */
  readonly work?: true;
  /** How long `run` may take before the next level answers. @defaultValue `Infinity` */
  readonly timeout?: Duration;
  /** How many answers of `run` may be waited for at once; beyond that the next level answers. @defaultValue `10` */
  readonly maxConcurrent?: number;
}

/** What a call gets at a level. */
export type Way = 'work' | 'refusal' | Tier;

/** A level as read. */
export interface LevelSettings {
  readonly name: string;
  readonly way: Way;
}

interface Given {
  readonly name: string;
  readonly value: unknown;
  readonly run: ((call: Call) => unknown) | undefined;
  readonly work: true | undefined;
  readonly timeout: number;
  readonly maxConcurrent: number;
}

const level = group<Given>({
  name: nameField,
  value: anything().optional(),
  run: fn<(call: Call) => unknown>('(call) => value').optional(),
  work: new Field<true>('true', (value, path, problems) => {
    if (value !== true) problems.push({ path, expected: 'true', got: show(value) });
    return true;
  }).optional(),
  timeout: duration({ min: 0.001, infinite: true }).or(Infinity),
  maxConcurrent: count({ min: 1, infinite: true }).or(10),
});

const expected = 'an array of at least two levels, from full to off: names, or objects with name and value, run or work';

/** The field for a policy's table. */
export const levelsField: Field<readonly LevelSettings[]> = new Field(expected, (value, path, problems) => {
  if (!Array.isArray(value) || value.length < 2) {
    problems.push({ path, expected, got: Array.isArray(value) ? `an array of ${value.length}` : show(value) });
    return [];
  }
  const levels = value.map((each: unknown, i) => readLevel(each, i === 0, `${path}[${i}]`, problems));
  const names: readonly (string | undefined)[] = levels.map(({ name }) => name);
  const twice = names.find((name, i) => name !== undefined && names.indexOf(name) !== i);
  if (twice !== undefined) problems.push({ path, expected: 'a different name for each level', got: `${show(twice)} twice` });
  return levels;
});

/** The field of a feature's kind. */
export const kindField: Field<FeatureKind> = oneOf('read', 'write').or('read');

function readLevel(value: unknown, first: boolean, path: string, problems: OptionProblem[]): LevelSettings {
  const lesser = typeof value === 'object' && value !== null;
  const given = level.read(lesser ? value : { name: value }, path, problems);
  const ways = (['value', 'run', 'work'] as const).filter(
    (way) => Object.hasOwn(Object(value) as object, way) && (way === 'value' || given[way] !== undefined),
  );
  const { name, run } = given;
  if (first && lesser && ways.length > 0)
    problems.push({ path, expected: 'the first level to be full, where the work runs', got: `one with ${ways.join(' and ')}` });
  else if (ways.length > 1) problems.push({ path, expected: 'one of value, run and work', got: ways.join(' and ') });
  if (first || given.work === true) return { name, way: 'work' };
  if (ways.length === 0) return { name, way: 'refusal' };
  const find = run === undefined ? undefined : (_error: unknown, call: Call): unknown => run(call);
  return { name, way: new Tier(name, { value: given.value, run: find, timeout: given.timeout, maxConcurrent: given.maxConcurrent }) };
}
