/** What the options of a retry that have options of their own accept. */

import type { BackoffSettings } from '../../algorithms/backoff.ts';
import { type OptionProblem, OptionsError } from '../../core/errors.ts';
import { Field, type Fields, duration, field, flag, group, numeric, oneOf, ratio, show } from '../../core/options.ts';
import { type RetryBudget, isRetryBudget, retryBudget } from '../../stores/retry-budget.ts';
import type { RetryBudgetOptions } from '../../stores/budget-kinds.ts';
import type { RetryAfterSettings } from './rules.ts';

/** A schedule as given: without a cap of its own it has the usual one, or its longest delay. */
type Schedule = Omit<BackoffSettings, 'maxDelay'> & { readonly maxDelay: number | undefined };

/** The cap of a schedule that has none of its own and whose delays are not longer, ms. */
const USUAL_CAP = 20_000;

const delays: Field<readonly number[]> = new Field('an array of durations', (value, path, problems) => {
  if (Array.isArray(value) && value.length > 0 && value.length <= 10_000)
    return value.map((each, i) => duration().read(each, `${path}[${i}]`, problems));
  problems.push({ path, expected: 'an array of durations', got: Array.isArray(value) ? `one with ${value.length}` : show(value) });
  return [];
});

const scheduleFields: Fields<Schedule> = {
  kind: oneOf('constant', 'linear', 'exponential', 'fibonacci').or('exponential'),
  delay: duration().or('100ms'),
  delays: delays.optional(),
  factor: numeric({ min: 1, max: 1000 }).or(2),
  maxDelay: duration({ infinite: true }).optional(),
  jitter: oneOf('none', 'full', 'equal', 'proportional', 'decorrelated', 'decorrelated-v2').or('full'),
  spread: ratio().or(0.25),
  firstRetryFast: flag().or(false),
};

const schedule = group(scheduleFields, (value) => (Array.isArray(value) ? { delays: value as unknown } : value));

/** The table of a schedule. */
export const backoffField: Field<BackoffSettings> = new Field(
  schedule.expected,
  (value, path, problems) => {
    const before = problems.length;
    const read = schedule.read(value, path, problems);
    const longest = Math.max(...(read.delays ?? [read.delay]));
    const { maxDelay = Math.max(USUAL_CAP, longest) } = read;
    const problem = problems.length > before ? undefined : oddity(read, longest, maxDelay);
    if (problem !== undefined) problems.push({ ...problem, path: `${path}.${problem.path}` });
    return { ...read, maxDelay };
  },
  undefined,
  true,
  schedule.nested,
);

function oddity({ delays: list, jitter }: Schedule, longest: number, maxDelay: number): OptionProblem | undefined {
  const name = list === undefined ? 'backoff.delay' : 'the longest of backoff.delays';
  if (longest > maxDelay) return { path: 'maxDelay', expected: `at least ${name} (${longest} ms)`, got: `${maxDelay} ms` };
  if (list === undefined || !jitter.startsWith('decorrelated')) return undefined;
  return { path: 'jitter', expected: "'none', 'full', 'equal' or 'proportional' beside backoff.delays", got: show(jitter) };
}

/** The table for waits that the service asks for. */
export const retryAfterField: Field<RetryAfterSettings> = group<RetryAfterSettings>(
  {
    honour: flag().or(true),
    max: duration({ infinite: true }).or('60s'),
    jitter: numeric({ min: 1, max: 100 }).or(1.5),
    onExceed: oneOf('stop', 'clamp', 'ignore').or('stop'),
  },
  (value) => (value === false ? { honour: false } : value),
);

/** A budget, the options of an own one, or none. */
export const budgetField: Field<RetryBudget | undefined> = new Field<RetryBudget | undefined>(
  'a retry budget, the options of an own one, or false',
  (value, path, problems) => {
    if (value === false || isRetryBudget(value)) return value === false ? undefined : value;
    try {
      return retryBudget(value as RetryBudgetOptions);
    } catch (error) {
      if (!(error instanceof OptionsError)) throw error;
      for (const problem of error.problems) problems.push({ ...problem, path: problem.path.replace('retryBudget', path) });
      return undefined;
    }
  },
);

/** A header that is not sent, is sent under its usual name, or under another. */
export function headerField(usual: string): Field<string | undefined> {
  const name = field(`true for ${usual}, or the name of a header`, (value) =>
    value === true ? usual : typeof value === 'string' && /^[\w!#$%&'*+.^`|~-]+$/.test(value) ? value : undefined,
  );
  return new Field<string | undefined>(
    `true for ${usual}, the name of a header, or false`,
    (value, path, problems) => (value === false ? undefined : name.read(value, path, problems)),
    false,
    false,
  );
}
