/** Options that policies on packages do not take though their users may well write them: refused with what to write in their place. */

import { type OptionProblem, OptionsError } from '../core/errors.ts';
import { type Fields, readOptions, show } from '../core/options.ts';
import { isThenable } from '../core/thenable.ts';

/** What is expected in place of an option, by its name. */
export type Strangers = Readonly<Record<string, string>>;

/** Reads options as {@link readOptions} does; strangers among them are refused along with what else is wrong. @throws OptionsError */
export function readAmongStrangers<Settings extends object>(
  owner: string,
  fields: Fields<Settings>,
  given: unknown,
  strangers: Strangers,
): Readonly<Settings> {
  const work = workIn(given);
  if (work !== undefined) throw new OptionsError([{ path: owner, expected: 'options', got: work }]);
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return readOptions(owner, fields, given);
  const problems: OptionProblem[] = [];
  const known: [string, unknown][] = [];
  for (const [name, value] of Object.entries(given)) {
    if (!Object.hasOwn(strangers, name)) known.push([name, value]);
    else if (value !== undefined) problems.push({ path: `${owner}.${name}`, expected: strangers[name] as string, got: show(value) });
  }
  const read = (): Readonly<Settings> => readOptions(owner, fields, Object.fromEntries(known));
  const [first, ...more] = problems;
  if (first === undefined) return read();
  throw new OptionsError([first, ...more, ...problemsOf(read)]);
}

/** What stands where the options should, if it is work: the packages are given that first. */
export function workIn(given: unknown): string | undefined {
  if (typeof given === 'function') return 'a function: options go here, the function to pipeline.execute()';
  return isThenable(given) ? 'a promise: options go here; give pipeline.execute() a function' : undefined;
}

function problemsOf(read: () => unknown): readonly OptionProblem[] {
  try {
    read();
    return [];
  } catch (error) {
    if (error instanceof OptionsError) return error.problems;
    throw error;
  }
}
