import type { PlainData } from '../../core/policy.ts';
import { type Inside, type OpossumClass, isBreaker } from './breaker.ts';
import { type OpossumSettings, opossumFields, readOpossumOptions } from './fields.ts';
import { rotate, withoutTimers } from './rotation.ts';
import { SharedBreaker } from './shared.ts';

/** A breaker, and what is known of how it was made. */
export interface Given {
  readonly shared: SharedBreaker;
  /** Nothing of a user's instance. */
  readonly settings: OpossumSettings | undefined;
}

/**
 * The breaker that a user gives, or one made of options.
 *
 * @throws OptionsError
 */
export function breakerOf(Type: OpossumClass, given: unknown): Given {
  if (isBreaker(given)) return { shared: SharedBreaker.of(given as unknown as Inside), settings: undefined };
  const settings = readOpossumOptions('opossumBreaker', given);
  const own = Object.fromEntries(Object.entries(settings).filter(([name, value]) => value !== undefined && name !== 'mode'));
  const timers = withoutTimers(settings);
  // Nameless, so that opossum gives it a name of its own where the options do not.
  const breaker = new Type((work: () => unknown) => work(), { ...own, ...timers }) as unknown as Inside;
  if (timers !== undefined) rotate(breaker, settings);
  return { shared: SharedBreaker.of(breaker, true), settings };
}

/** The options of a breaker as plain data; of functions and objects only whether they were given. */
export function described({ shared: { real }, settings }: Given): PlainData {
  const options = real.options as unknown as Readonly<Record<string, unknown>>;
  const entries = Object.keys(opossumFields)
    .filter((name) => name !== 'name' && name !== 'mode' && name !== 'enabled')
    .filter((name) => settings !== undefined || typeof options[name] !== 'function')
    .map((name) => [name, plain(settings === undefined ? options[name] : settings[name as keyof OpossumSettings])] as const);
  const { volumeThreshold } = real;
  const window = { duration: options['rollingCountTimeout'] };
  return { ...Object.fromEntries(entries.filter(([, value]) => value !== undefined)), volumeThreshold, window };
}

function plain(value: unknown): unknown {
  if (typeof value === 'function') return 'chosen';
  if (typeof value === 'number') return value >= Number.MAX_SAFE_INTEGER ? Infinity : value;
  if (Array.isArray(value)) return [...(value as unknown[])];
  return typeof value === 'object' && value !== null ? 'given' : value;
}
