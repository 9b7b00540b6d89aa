/** What the options of a circuit breaker that have options of their own accept. */

import type { SlowSettings, WarmUpSettings } from '../../algorithms/circuit-state.ts';
import type { OpenTimeSettings } from '../../algorithms/openings.ts';
import type { RampSettings } from '../../algorithms/ramp.ts';
import type {
  CallEwmaSettings,
  CountWindowSettings,
  TimeEwmaSettings,
  TimeWindowSettings,
  WindowSettings,
} from '../../algorithms/windows.ts';
import { Field, count, duration, field, flag, fn, group, numeric, oneOf, ratio } from '../../core/options.ts';
import type { HalfOpenSettings } from '../../stores/circuit/line.ts';
import type { OpenFor } from '../../stores/circuit/questions.ts';
import type { RecoveryProbe, RecoverySettings } from '../../stores/circuit/recovery.ts';

/** A time from 1 ms on. */
const span: Field<number> = duration({ min: 1, infinite: true });

const finite = duration({ min: 1 });

/** A share that is not 0. */
export const share: Field<number> = ratio({ above: true });

/** Places in a window, each of which costs some bytes. */
const places: Field<number> = field('a whole number from 1 to 1000000', (value) =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 1_000_000 ? (value as number) : undefined,
);

/** A field whose plain duration stands for an object with that and some other values. */
function orDuration<T>(whole: Field<T>, name: string, others?: object): Field<T> {
  const lift = (value: unknown): unknown => (typeof value === 'object' ? value : { [name]: value, ...others });
  return new Field(
    `a duration, or ${whole.expected}`,
    (value, path, problems) => whole.read(lift(value), path, problems),
    undefined,
    true,
    whole.nested,
  );
}

const time = orDuration(group<TimeWindowSettings>({ duration: span, buckets: places.or(10) }), 'duration');
const calls = group<CountWindowSettings>({ calls: places });
const fading = group<TimeEwmaSettings>({ halfLife: finite });
const fadingByCalls = group<CallEwmaSettings>({ halfLifeCalls: numeric({ min: 1, max: 1_000_000 }) });

/** Other windows, by what is in no other. */
const byName: Readonly<Record<string, Field<WindowSettings>>> = { calls, halfLife: fading, halfLifeCalls: fadingByCalls };

export const windowField: Field<WindowSettings> = new Field<WindowSettings>(
  [time, calls, fading, fadingByCalls].map(({ expected }) => expected).join(', or '),
  (value, path, problems) => {
    const name = Object.keys(byName).find((each) => Object.hasOwn(Object(value) as object, each));
    return (name === undefined ? time : (byName[name] as Field<WindowSettings>)).read(value, path, problems);
  },
  '30s',
  false,
  { ...time.nested, ...calls.nested, ...fading.nested, ...fadingByCalls.nested },
);

const slow = group<SlowSettings>({
  quantile: numeric({ above: 0, max: 0.999 }),
  factor: numeric({ min: 1, max: 1000 }).or(3),
  min: span.or('100ms'),
  minSamples: count({ min: 1 }).or(100),
});

export const slowCallField: Field<number | SlowSettings> = new Field<number | SlowSettings>(
  `${span.expected}, or ${slow.expected}`,
  (value, path, problems) => (typeof value === 'object' ? slow : span).read(value, path, problems),
  undefined,
  true,
  slow.nested,
);

export const openForField: Field<OpenTimeSettings | OpenFor> = orDuration(
  group<OpenTimeSettings>({
    initial: span.or('5s'),
    factor: numeric({ min: 1, max: 1000 }).or(2),
    max: span.or('300s'),
    jitter: oneOf('none', 'equal', 'full').or('equal'),
    resetAfter: span.optional(),
  }),
  'initial',
  { factor: 1, max: Infinity, jitter: 'none' },
).orFunction<OpenFor>('(openCount, circuit, failure) => ms');

export const halfOpenField: Field<HalfOpenSettings> = group<HalfOpenSettings>({
  calls: count({ min: 1 }).or(3),
  concurrency: count({ min: 1 }).or(3),
  successRate: share.or(1),
  probeTimeout: span.or('30s'),
  maxDuration: span.or(Infinity),
  onExpire: oneOf('open', 'close').or('open'),
  decide: oneOf('early', 'all').or('early'),
  overflow: oneOf('refuse', 'wait').or('refuse'),
  maxWait: finite.or('5s'),
  maxWaiting: count({ min: 1 }).or(100),
});

export const rampUpField: Field<RampSettings> = orDuration(
  group<RampSettings>({ duration: finite, min: share.or(0.1), aggression: numeric({ min: 0.1, max: 10 }).or(1) }),
  'duration',
);

export const warmUpField: Field<WarmUpSettings> = orDuration(
  group<WarmUpSettings>({ duration: duration().or(0), calls: count().or(0) }),
  'duration',
);

export const recoverField: Field<RecoverySettings> = group<RecoverySettings>({
  auto: flag().or(false),
  probe: fn<RecoveryProbe>('(signal) => true or false').optional(),
  interval: finite.or('5s'),
  timeout: finite.or('5s'),
  closes: flag().or(false),
});
