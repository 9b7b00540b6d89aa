/** What people give in the place of options, and what to do with it. */

import { OptionsError } from '../../core/errors.ts';
import { workIn } from '../strangers.ts';
import { isBreaker } from './breaker.ts';

/**
 * Refuses what can be no options before its fields are looked at one by one: an instance of something has many, and none of them says what went wrong. An object of a class that
 * holds options is one like any other.
 *
 * @throws OptionsError
 */
export function checkOptions(owner: string, expected: string, options: readonly string[], given: unknown): void {
  const got = typeof given === 'object' && given !== null ? mistaken(given, options) : workIn(given);
  if (got !== undefined) throw new OptionsError([{ path: owner, expected, got }]);
}

/** What an object is, if it is known, or at least no options. */
function mistaken(given: object, options: readonly string[]): string | undefined {
  if (Array.isArray(given)) return undefined;
  const has = (...methods: readonly string[]): boolean => methods.every((name) => typeof Reflect.get(given, name) === 'function');
  const kind: unknown = Reflect.get(given, 'kind');
  if (isBreaker(given)) return 'a CircuitBreaker: give its options, or opossumBreaker() the breaker';
  if (has('schedule', 'counts')) return 'a Bottleneck: bottleneckLimiter() of breakwater/bottleneck takes it';
  if (has('key', 'limiters')) return 'a Bottleneck.Group: bottleneckLimiter() of breakwater/bottleneck takes it';
  if (has('mount') && typeof kind === 'string') return `a policy (${kind.slice(0, 40)}): it stands in pipeline([…]) as it is`;
  const type = classOf(given);
  if (type === undefined || has('then')) return workIn(given);
  const names = Object.keys(given);
  const known = names.filter((name) => options.includes(name)).length;
  return known * 2 > names.length ? undefined : `${/^[aeiou]/i.test(type) ? 'an' : 'a'} ${type}`;
}

/** The class of an object, if it is not a plain one. */
function classOf(given: object): string | undefined {
  const type: unknown = Reflect.get(given, 'constructor');
  const name = typeof type === 'function' && !Object.hasOwn(given, 'constructor') ? type.name : 'Object';
  return name === 'Object' ? undefined : name.slice(0, 40) || 'object of a class without a name';
}
