/** Options of bottleneck that native policies have no equal for, and what to do about each. */

import type { OptionProblem } from '../../core/errors.ts';
import { type Rule, show } from '../../core/options.ts';
import type { BottleneckSettings } from './fields.ts';

/** The package's numbers for its strategies. */
export const OVERFLOW = 2;
export const BLOCK = 3;
export const OVERFLOW_PRIORITY = 4;

const HERE = 'none: native policies keep their state in this process. Keep bottleneckLimiter until there is a store that processes share';

/** Options of clustering, and those that concern the package alone: none of them may be given. */
const foreign: readonly (readonly [name: keyof BottleneckSettings, expected: string])[] = [
  ['connection', HERE],
  ['clientOptions', HERE],
  ['clusterNodes', HERE],
  ['clientTimeout', HERE],
  ['Redis', HERE],
  ['timeout', 'none: for a limiter per key, perKey(() => policy, { idle }) lets those go that are idle'],
  ['Promise', "none: calls are answered with the language's own promises"],
];

/** Rules, one for each thing that native policies cannot do. */
export const gaps: readonly Rule<BottleneckSettings>[] = [
  ({ datastore }) => (datastore === 'local' ? undefined : problem('datastore', HERE, datastore)),
  ({ clearDatastore }) => (clearDatastore ? problem('clearDatastore', HERE, clearDatastore) : undefined),
  ...foreign.map(([name, expected]): Rule<BottleneckSettings> => {
    return (settings) => (settings[name] === undefined ? undefined : problem(name, expected, settings[name]));
  }),
  ({ trackDoneStatus }) =>
    trackDoneStatus
      ? problem('trackDoneStatus', "false: calls have no ids to keep. Count them with pipeline.on('*', …), or keep bottleneckLimiter", true)
      : undefined,
  refills,
  ({ reservoir, reservoirRefreshAmount }) =>
    reservoirRefreshAmount === undefined ? undefined : within('reservoir', reservoir, 'reservoirRefreshAmount', reservoirRefreshAmount),
  ({ reservoir, reservoirIncreaseMaximum }) =>
    reservoirIncreaseMaximum === undefined
      ? undefined
      : within('reservoir', reservoir, 'reservoirIncreaseMaximum', reservoirIncreaseMaximum),
  overflows,
];

/** A number that bounds something: `undefined` and `Infinity` do not. */
export function bounds(value: number | undefined): value is number {
  return value !== undefined && value < Infinity;
}

function problem(path: keyof BottleneckSettings, expected: string, got: unknown): OptionProblem {
  return { path, expected, got: show(got) };
}

/** A reservoir is refilled in one of two ways, by something, and begins somewhere. */
function refills(settings: BottleneckSettings): OptionProblem | undefined {
  const { reservoir, reservoirRefreshInterval, reservoirRefreshAmount, reservoirIncreaseInterval, reservoirIncreaseAmount } = settings;
  const refresh = [reservoirRefreshInterval, reservoirRefreshAmount];
  const increase = [reservoirIncreaseInterval, reservoirIncreaseAmount];
  if (refresh.some(isGiven) && increase.some(isGiven))
    return problem(
      'reservoirIncreaseAmount',
      'none beside a refresh: no native limiter does both. Choose one, or keep bottleneckLimiter',
      reservoirIncreaseAmount,
    );
  for (const [name, other, pair] of [
    ['reservoirRefreshInterval', 'reservoirRefreshAmount', refresh],
    ['reservoirIncreaseInterval', 'reservoirIncreaseAmount', increase],
  ] as const) {
    const missing = pair[0] === undefined ? name : other;
    if (pair.some(isGiven) && !pair.every((each) => bounds(each) && each > 0))
      return problem(missing, `${name} and ${other}, both above 0: the one does nothing without the other`, settings[missing]);
  }
  const refilled = [...refresh, ...increase].some(isGiven);
  if (reservoir === undefined)
    return refilled
      ? problem('reservoir', 'a number to begin with: bottleneck allows anything until the first refill', 'nothing')
      : undefined;
  if (refilled || reservoir === Infinity) return undefined;
  return problem(
    'reservoir',
    'reservoirRefreshInterval and reservoirRefreshAmount, or those of an increase, to go with it: no native limiter is refilled by hand alone. Keep bottleneckLimiter',
    reservoir,
  );
}

function within(name: 'reservoir', value: number | undefined, other: keyof BottleneckSettings, most: number): OptionProblem | undefined {
  if (value === undefined || value <= most) return undefined;
  return problem(name, `at most ${most} (${other}): native limiters do not begin with more than they ever hold`, value);
}

/** What becomes of calls that come at the high-water mark. */
function overflows({ highWater, strategy, maxConcurrent, reservoir, minTime }: BottleneckSettings): OptionProblem | undefined {
  if (!bounds(highWater)) return undefined;
  const slots = bounds(maxConcurrent);
  if (strategy === BLOCK && (!slots || (highWater === 0 && (minTime > 0 || bounds(reservoir)))))
    return problem(
      'strategy',
      'BLOCK (3) with maxConcurrent, and a highWater of 1 or more beside other limits. Or keep bottleneckLimiter',
      strategy,
    );
  if (strategy === OVERFLOW || highWater === 0 || slots || !bounds(reservoir)) return undefined;
  return problem(
    'strategy',
    'OVERFLOW (2) where there is no maxConcurrent: calls wait for the reservoir in the order in which they came, and none loses its place. Or keep bottleneckLimiter',
    strategy,
  );
}

function isGiven(value: unknown): boolean {
  return value !== undefined;
}
