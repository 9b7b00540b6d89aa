import { describe, expect, test } from 'vitest';
import { bulkhead, circuitBreaker, retry, timeout } from 'breakwater';
import { OptionsError } from '../../src/core/errors.ts';
import {
  type Fields,
  count,
  duration,
  flag,
  fn,
  group,
  numeric,
  oneOf,
  parseDuration,
  ratio,
  readOptions,
  show,
  text,
} from '../../src/core/options.ts';

interface Settings {
  readonly limit: number;
  readonly wait: number;
  readonly share: number;
  readonly mode: 'a' | 'b';
  readonly on: boolean;
  readonly name: string | undefined;
  readonly call: (() => void) | undefined;
  readonly inner: { readonly deep: number };
}

const fields: Fields<Settings> = {
  limit: count({ min: 1 }),
  wait: duration({ infinite: true }).or('2s'),
  share: ratio().or(0.5),
  mode: oneOf('a', 'b').or('a'),
  on: flag().or(true),
  name: text().optional(),
  call: fn<() => void>('() => void').optional(),
  inner: group<{ deep: number }>({ deep: numeric({ above: 0, max: 10 }).or(1) }).or({}),
};

const problemsOf = (given: unknown): readonly string[] => {
  try {
    readOptions('thing', fields, given);
    return [];
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error;
    return error.problems.map(({ path, expected, got }) => `${path}: expected ${expected}, got ${got}`);
  }
};

describe('the option reader', () => {
  test('fills in defaults, written as a user would write them, and freezes the result', () => {
    const settings = readOptions('thing', fields, { limit: 3 });
    expect(settings).toEqual({
      limit: 3,
      wait: 2000,
      share: 0.5,
      mode: 'a',
      on: true,
      name: undefined,
      call: undefined,
      inner: { deep: 1 },
    });
    expect(Object.isFrozen(settings)).toBe(true);
  });

  test('takes undefined as not given', () => {
    expect(readOptions('thing', fields, { limit: 3, wait: undefined }).wait).toBe(2000);
  });

  test('refuses an unknown option and says which ones there are, and which one was probably meant', () => {
    expect(problemsOf({ limit: 1, limmit: 2 })).toEqual([
      'thing.limmit: expected one of limit, wait, share, mode, on, name, call, inner (did you mean limit?), got an unknown option',
    ]);
    expect(problemsOf({ limit: 1, WAIT: 2 })[0]).toContain('did you mean wait?');
    expect(problemsOf({ limit: 1, zzzzzzzz: 2 })[0]).not.toContain('did you mean');
  });

  test('refuses what is missing', () => {
    expect(problemsOf({})).toEqual(['thing.limit: expected a whole number of at least 1, got nothing']);
    expect(problemsOf(undefined)).toHaveLength(1);
  });

  test('tells all problems at once, those of nested options with their path', () => {
    expect(problemsOf({ limit: '10', wait: -1, share: 2, mode: 'c', on: 1, name: '', call: 5, inner: { deep: 11, other: 1 } })).toEqual([
      'thing.limit: expected a whole number of at least 1, got "10"',
      "thing.wait: expected a duration: ms, or a number with its unit such as '250ms', '2s', '1m', '1h', or Infinity, got -1",
      'thing.share: expected a number of at least 0 up to 1, got 2',
      "thing.mode: expected 'a', 'b', got \"c\"",
      'thing.on: expected true or false, got 1',
      'thing.name: expected a string that is not empty, got ""',
      'thing.call: expected a function () => void, got 5',
      'thing.inner.other: expected one of deep, got an unknown option',
      'thing.inner.deep: expected a number above 0 up to 10, got 11',
    ]);
  });

  test.each([
    ['null', null],
    ['NaN', Number.NaN],
    ['Infinity', Infinity],
    ['a negative number', -1],
    ['a fraction', 1.5],
    ['a string', '10'],
    ['a boxed number', Object(3) as unknown],
    ['a bigint', 3n],
    ['an array', [3]],
  ])('refuses %s as a count (G9)', (_, value) => {
    expect(problemsOf({ limit: value })).toHaveLength(1);
  });

  test.each([
    ['null', null],
    ['NaN', Number.NaN],
    ['-Infinity', -Infinity],
    ['no unit', '10'],
    ['a foreign unit', '10d'],
    ['a sign', '-1s'],
    ['blanks', ' 1s'],
    ['nothing', ''],
  ])('refuses %s as a duration (G9)', (_, value) => {
    expect(problemsOf({ limit: 1, wait: value })).toHaveLength(1);
  });

  test('refuses a list or a primitive in place of the options', () => {
    expect(problemsOf([])[0]).toContain('thing: expected an object with limit');
    expect(problemsOf('fast')[0]).toContain('got "fast"');
  });

  test('reads own properties only: a polluted prototype changes nothing', () => {
    const given = Object.create({ wait: 1 }) as { limit: number };
    given.limit = 1;
    expect(readOptions('thing', fields, given).wait).toBe(2000);
    expect(problemsOf(JSON.parse('{"limit":1,"__proto__":{"wait":1}}') as object)[0]).toContain('thing.__proto__');
  });

  test('applies rules across options only when each alone is right', () => {
    const rule = (): { path: string; expected: string; got: string } => ({ path: 'limit', expected: 'less', got: 'more' });
    expect(() => readOptions('thing', fields, { limit: 1 }, rule)).toThrow('thing.limit: expected less, got more');
    expect(() => readOptions('thing', fields, { limit: 0 }, rule)).toThrow('thing.limit: expected a whole number of at least 1, got 0');
  });

  test('keeps nothing of the object it was given', () => {
    const given = { limit: 1, inner: { deep: 2 } };
    const settings = readOptions('thing', fields, given);
    given.inner.deep = 9;
    expect(settings.inner.deep).toBe(2);
  });
});

describe('durations', () => {
  test.each([
    [250, 250],
    ['250ms', 250],
    ['2s', 2000],
    ['1.5m', 90_000],
    ['1h', 3_600_000],
    [0, 0],
    ['0ms', 0],
    [Infinity, Infinity],
  ])('%s is %d ms', (given, ms) => {
    expect(parseDuration(given)).toBe(ms);
  });

  test('a hostile string is turned down without being searched', () => {
    expect(parseDuration(`${'1'.repeat(100_000)}x`)).toBeUndefined();
  });
});

test('values are shown shortened, and functions and objects not at all', () => {
  expect([show('x'.repeat(100)), show(() => 1), show({ secret: 1 }), show([1]), show(3n), show(null)]).toEqual([
    `"${'x'.repeat(57)}..."`,
    'a function',
    'an object',
    'an array',
    '3n',
    'null',
  ]);
});

test('an option that is called otherwise in another library is told by its name here', () => {
  const hints: readonly (readonly [() => unknown, string])[] = [
    [() => retry({ retries: 3 } as never), 'did you mean maxAttempts, which counts the first call, too?'],
    [() => circuitBreaker({ errorThresholdPercentage: 50 } as never), 'did you mean failureRate, a share from 0 to 1?'],
    [() => circuitBreaker({ resetTimeout: 1000 } as never), 'did you mean openFor?'],
    [() => timeout({ milliseconds: 50 } as never), 'did you mean after?'],
    [() => bulkhead({ maxConcurrent: 1, highWater: 3 } as never), 'did you mean maxQueue?'],
  ];
  for (const [make, hint] of hints) expect(make).toThrow(hint);
  expect(() => bulkhead({ maxConcurrent: 1, retries: 3 } as never)).not.toThrow('did you mean');
  expect(() => retry({ constructor: 3 } as never)).not.toThrow('did you mean');
});
