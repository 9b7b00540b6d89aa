import type { PlainData } from '../../core/policy.ts';
import { hasFallback } from './answers.ts';
import { type Inside, type OpossumClass, fieldOf, isBreaker } from './breaker.ts';
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
 * Options for a breaker as read; nothing if a breaker is given in their place.
 *
 * @throws OptionsError
 */
export function settingsOf(given: object): OpossumSettings | undefined {
  return isBreaker(given) ? undefined : readOpossumOptions('opossumBreaker', 'options or a CircuitBreaker', given);
}

/** The breaker that a user gives, or one made of options. */
export function breakerOf(Type: OpossumClass, given: object, settings: OpossumSettings | undefined): Given {
  if (settings === undefined) return { shared: SharedBreaker.of(given as Inside), settings };
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
  return {
    ...nameOf(real),
    ...Object.fromEntries(entries.filter(([, value]) => value !== undefined)),
    volumeThreshold,
    ...(covers(real) && { fallback: 'chosen' }),
    window: { duration: options['rollingCountTimeout'] },
  };
}

/** What opossum calls it, unless that is a name made up for want of one. */
function nameOf({ name, action, options }: Inside): { readonly breaker?: string } {
  return name === options.name || name === action.name ? { breaker: name } : {};
}

/** Whether a fallback is known to be there. */
function covers(breaker: Inside): boolean {
  return fieldOf(breaker, 'fallback') !== undefined && hasFallback(breaker);
}

function plain(value: unknown): unknown {
  if (typeof value === 'function') return 'chosen';
  if (typeof value === 'number') return value >= Number.MAX_SAFE_INTEGER ? Infinity : value;
  if (Array.isArray(value)) return [...(value as unknown[])];
  return typeof value === 'object' && value !== null ? 'given' : value;
}
