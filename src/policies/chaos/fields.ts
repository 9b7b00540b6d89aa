/** How the options of chaos are read where that takes more than a line. */

import type { Call } from '../../core/call.ts';
import type { OptionProblem } from '../../core/errors.ts';
import { Field, type Fields, duration, field, group, ratio, show } from '../../core/options.ts';
import { type ChaosSettings, type ChaosWindowSettings, given } from './rules.ts';
import { type InjectionName, injectionNames } from './injections.ts';

/** A share of calls. */
export const rateField: Field<number | ((call: Call) => number | PromiseLike<number>)> =
  ratio().orFunction<(call: Call) => number | PromiseLike<number>>('(call) => share');
/** The signature of what makes errors. */
export const errorMaker = '(call, u) => error';
/** What a call fails with. */
export const faultField: Field<unknown> = field<unknown>(`an error, or a function ${errorMaker}`, (value) =>
  (typeof value === 'object' && value !== null) || typeof value === 'function' ? value : undefined,
).optional();

const anySpan = duration({ infinite: true });
/** How much later the work runs. */
export const latencyField: Field<ChaosSettings['latency']> = new Field<ChaosSettings['latency']>(
  `${anySpan.expected}, two of them, or (call, u) => ms`,
  (value, path, problems) => {
    if (typeof value === 'function') return value as (call: Call, u: number) => number;
    if (!Array.isArray(value)) return anySpan.read(value, path, problems);
    const [from, to] = value.map((each: unknown, i) => duration().read(each, `${path}[${i}]`, problems));
    if (value.length === 2 && from !== undefined && to !== undefined && from <= to) return [from, to];
    if (problems.length === 0 || value.length !== 2)
      problems.push({
        path,
        expected: 'two durations, the shorter one first',
        got: value.length === 2 ? 'the longer one first' : `${value.length}`,
      });
    return undefined;
  },
).optional();

const words = injectionNames.map((name) => `'${name}'`).join(', ');
const isName = (value: unknown): value is InjectionName => injectionNames.includes(value as InjectionName);

/** The table of a stretch of a script. */
const chaosWindowFields: Fields<ChaosWindowSettings> = {
  from: duration().or(0),
  to: anySpan.or(Infinity),
  rate: rateField.optional(),
  inject: field<readonly InjectionName[]>(`one or several of ${words}`, (value) => {
    const names: readonly unknown[] = Array.isArray(value) ? value : [value];
    return names.length > 0 && names.every(isName) ? names : undefined;
  }).optional(),
};
const stretch = group(chaosWindowFields);

/** How often each injection is drawn. */
export const weightsField: Field<ChaosSettings['weights']> = field<ChaosSettings['weights']>(
  'an object of injections and numbers of at least 0',
  (value) => {
    if (typeof value !== 'object' || value === null) return undefined;
    const entries = Object.entries(value) as [string, unknown][];
    const fine = entries.every(([name, weight]) => isName(name) && Number.isFinite(weight) && (weight as number) >= 0);
    return fine ? Object.fromEntries(entries) : undefined;
  },
);

/** A script. */
export const scheduleField: Field<readonly ChaosWindowSettings[] | undefined> = new Field<readonly ChaosWindowSettings[]>(
  'an array of { from, to, rate, inject }',
  (value, path, problems) => {
    if (Array.isArray(value)) return value.map((each: unknown, i) => stretch.read(each, `${path}[${i}]`, problems));
    problems.push({ path, expected: 'an array of { from, to, rate, inject }', got: show(value) });
    return [];
  },
).optional();

/** Each stretch of a script ends after it began. */
export function windowsLast({ schedule: script = [] }: ChaosSettings): OptionProblem | undefined {
  const at = script.findIndex(({ from, to }) => from >= to);
  const { from, to } = script[at] ?? {};
  return at < 0 ? undefined : { path: `schedule[${at}].to`, expected: `more than from (${from} ms)`, got: `${to} ms` };
}

/** A script injects what is given. */
export function drawsWhatIsGiven(settings: ChaosSettings): OptionProblem | undefined {
  const known = given(settings);
  for (const [i, { inject = [] }] of (settings.schedule ?? []).entries()) {
    const missing = inject.find((name) => !known.includes(name));
    if (missing !== undefined)
      return { path: `schedule[${i}].inject`, expected: `what is injected: ${known.join(', ')}`, got: show(missing) };
  }
  return undefined;
}

/** Only what is given has a weight. */
export function weighsWhatIsGiven(settings: ChaosSettings): OptionProblem | undefined {
  const known = given(settings);
  const stray = injectionNames.find((name) => settings.weights[name] !== undefined && !known.includes(name));
  if (stray === undefined) return undefined;
  return { path: `weights.${stray}`, expected: `weights of what is injected: ${known.join(', ')}`, got: `${settings.weights[stray]}` };
}
