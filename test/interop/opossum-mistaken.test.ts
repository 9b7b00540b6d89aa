import Bottleneck from 'bottleneck';
import CircuitBreaker from 'opossum';
import { describe, expect, it, test } from 'vitest';
import { OptionsError, circuitBreaker, pipeline } from 'breakwater';
import { fromOpossumOptions, opossumBreaker } from 'breakwater/opossum';
import { useProcessTime } from '../support/process-clock.ts';

useProcessTime();

const fetchUser = (id: number): Promise<string> => Promise.resolve(`user ${id}`);

function said(make: (given: never) => unknown, given: unknown): string {
  try {
    make(given as never);
  } catch (error) {
    if (error instanceof OptionsError) return error.message;
    throw error;
  }
  return 'taken';
}

class Shop {
  readonly id = 7;
  sell(): void {}
}

class Limits {
  readonly timeout = 3000;
  readonly resetTimeout = 5000;
  toJSON(): object {
    return { timeout: this.timeout };
  }
}

describe('what is given in the place of options', () => {
  test('a function first, as every user of opossum writes it, is told where it goes, before the options behind it are looked at', () => {
    const make = (given: never): unknown => opossumBreaker(given, { timeout: 3000 } as never);
    expect(said(make, fetchUser)).toBe(
      'opossumBreaker: expected options or a CircuitBreaker, got a function: options go here, the function to pipeline.execute()',
    );
    expect(said(fromOpossumOptions, fetchUser)).toBe(
      'fromOpossumOptions: expected options, got a function: options go here, the function to pipeline.execute()',
    );
  });

  it.each<[string, unknown, string]>([
    ['a limiter of bottleneck', new Bottleneck(), 'a Bottleneck: bottleneckLimiter() of breakwater/bottleneck takes it'],
    ['a group of them', new Bottleneck.Group(), 'a Bottleneck.Group: bottleneckLimiter() of breakwater/bottleneck takes it'],
    ['a policy', circuitBreaker(), 'a policy (circuit-breaker): it stands in pipeline([…]) as it is'],
    ['one of these', opossumBreaker(), 'a policy (opossum): it stands in pipeline([…]) as it is'],
    ['an instance of a class of yours', new Shop(), 'a Shop'],
    ['one whose name begins with a vowel', new AbortController(), 'an AbortController'],
    [
      'a class that has no name',
      new (class {
        readonly id = 7;
      })(),
      'an object of a class without a name',
    ],
    ['a pipeline', pipeline([]), 'a policy (pipeline): it stands in pipeline([…]) as it is'],
    ['a promise', Promise.resolve({}), 'a promise: options go here; give pipeline.execute() a function'],
  ])('%s is called by its name, shortly', (_, given, got) => {
    expect(said(opossumBreaker, given)).toBe(`opossumBreaker: expected options or a CircuitBreaker, got ${got}`);
    expect(said(fromOpossumOptions, given)).toBe(`fromOpossumOptions: expected options, got ${got}`);
  });

  test('a breaker has its options translated, not itself', () => {
    const breaker = new CircuitBreaker(fetchUser);
    const expected = 'fromOpossumOptions: expected options, got a CircuitBreaker: give its options, or opossumBreaker() the breaker';
    expect(said(fromOpossumOptions, breaker)).toBe(expected);
    expect(said(opossumBreaker, breaker)).toBe('taken');
    breaker.shutdown();
  });

  test('what is no object at all is told what one has', () => {
    for (const given of ['users', null, [{ timeout: 3000 }]])
      expect(said(opossumBreaker, given)).toMatch(/^opossumBreaker: expected an object with timeout, /);
  });

  test('options of a class are options, with their slips of the pen', () => {
    expect(opossumBreaker(new Limits()).describe()).toMatchObject({ timeout: 3000, resetTimeout: 5000 });
    expect(fromOpossumOptions(new Limits())[1].limit).toBe(3000);
    expect(said(opossumBreaker, Object.assign(new Limits(), { resetTimout: 1 }))).toMatch(/did you mean resetTimeout\?/);
    expect(said(opossumBreaker, Object.assign(Object.create(null), { timeout: 3000 }))).toBe('taken');
    expect(said(opossumBreaker, undefined)).toBe('taken');
  });
});
