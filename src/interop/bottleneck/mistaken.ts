/** What is given in place of the options of a bottleneck by mistake: told in a line of its own, before all its properties are called unknown options. */

import { type OptionProblem, OptionsError } from '../../core/errors.ts';
import { show } from '../../core/options.ts';
import { type BottleneckGroupLike, type StandingSettings, isGroup, isLimiter, settingsOf, timeoutOf } from './instances.ts';

type Properties = Readonly<Record<string, unknown>>;

/** Options of jobs, which are said apart from those of the limiter. */
const ofJobs: ReadonlySet<string> = new Set(['priority', 'weight', 'expiration']);

/** What `maxKeys` is said of. */
const ofGroups = 'none here: it is of a Group only, as in bottleneckLimiter(group, { maxKeys })';

/** @throws OptionsError if it is no options, but something that is known and belongs elsewhere */
export function checkGiven(owner: string, given: unknown): void {
  const properties = Object(given) as Properties;
  if (typeof properties['fire'] === 'function') {
    const got = `a ${nameOf(given)}: opossumBreaker() of breakwater/opossum takes it`;
    throw new OptionsError([{ path: owner, expected: 'a limiter of bottleneck, or options', got }]);
  }
  const [first, ...others] = Object.entries(properties).flatMap(([name, value]): OptionProblem[] => {
    const expected = misplaced(name, value);
    return expected === undefined ? [] : [{ path: `${owner}.${name}`, expected, got: show(value) }];
  });
  if (first !== undefined) throw new OptionsError([first, ...others]);
}

/** @throws OptionsError if a limiter or a group is given where only options can be translated */
export function checkNoInstance(owner: string, given: unknown): void {
  if (!isGroup(given) && !isLimiter(given)) return;
  const expected = 'the options that it was made with';
  const [what, one] = isGroup(given) ? ['Bottleneck.Group', 'group'] : ['Bottleneck', 'limiter'];
  throw new OptionsError([{ path: owner, expected, got: `a ${what}: give its options, or bottleneckLimiter() the ${one}` }]);
}

/** @throws OptionsError if `maxKeys` is given for a limiter that has no keys */
export function checkNoKeys(owner: string, job: unknown): void {
  const given = Object(job) as Properties;
  if (!Object.hasOwn(given, 'maxKeys')) return;
  throw new OptionsError([{ path: `${owner}.maxKeys`, expected: ofGroups, got: show(given['maxKeys']) }]);
}

const refills = ['reservoirRefreshInterval', 'reservoirIncreaseInterval'] as const satisfies readonly (keyof StandingSettings)[];

/** @throws OptionsError if the group lets limiters go before their reservoir is filled again: calls that wait for it would wait for good, and the next ones find a full one */
export function checkTimeout(owner: string, group: BottleneckGroupLike): void {
  const [timeout, settings] = [timeoutOf(group), settingsOf(group)];
  const [first, ...others] = refills.flatMap((name): OptionProblem[] => {
    const interval = settings[name];
    if (typeof interval !== 'number' || interval < timeout) return [];
    const expected = `less than the timeout of the group (${timeout} ms), which ends the refilling of a limiter that has started nothing for so long`;
    return [{ path: `${owner}.group.${name}`, expected, got: `${interval} ms: give the group a longer timeout` }];
  });
  if (first !== undefined) throw new OptionsError([first, ...others]);
}

function misplaced(name: string, value: unknown): string | undefined {
  if (ofJobs.has(name) || (name === 'id' && typeof value === 'function'))
    return `none here: it is said of jobs, in the second argument: (options, { ${name} })`;
  if (name === 'maxKeys') return ofGroups;
  if (name === 'maxTime' || name === 'maxSize')
    return 'none: it is an option of Bottleneck.Batcher, which limits nothing. Keep the Batcher; what it flushes can go through a pipeline';
  return undefined;
}

function nameOf(instance: unknown): string {
  const { name } = Object((instance as { constructor?: unknown }).constructor) as { readonly name?: unknown };
  return typeof name === 'string' && name !== '' && name !== 'Object' ? name : 'circuit breaker';
}
