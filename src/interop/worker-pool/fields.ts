/** What the options of a worker pool accept. */

import { isAbsolute } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type OptionProblem, OptionsError } from '../../core/errors.ts';
import { type Field, type Fields, field, group, numeric, show, text } from '../../core/options.ts';
import type { PiscinaLike, TaskOptions } from './threads.ts';

/** Bounds of the memory of one thread, in MB, as `node:worker_threads` knows them. */
export interface ThreadLimits {
  readonly maxOldGenerationSizeMb?: number | undefined;
  readonly maxYoungGenerationSizeMb?: number | undefined;
  readonly codeRangeSizeMb?: number | undefined;
  readonly stackSizeMb?: number | undefined;
}

/** A file by its URL or path, read as a path. */
export const file: Field<string> = field("a file: URL such as new URL('./worker.js', import.meta.url), or an absolute path", (value) => {
  const given = typeof value === 'object' && value !== null && 'href' in value ? value.href : value;
  if (typeof given !== 'string') return undefined;
  if (!given.startsWith('file:')) return isAbsolute(given) ? given : undefined;
  try {
    return fileURLToPath(given);
  } catch {
    return undefined;
  }
});

const megabytes = numeric({ above: 0 }).optional();

/** Bounds of a thread's memory. */
export const threadLimits: Field<ThreadLimits> = group<Required<ThreadLimits>>({
  maxOldGenerationSizeMb: megabytes,
  maxYoungGenerationSizeMb: megabytes,
  codeRangeSizeMb: megabytes,
  stackSizeMb: megabytes,
});

/** Something that runs tasks as a Piscina does. */
export const piscina: Field<PiscinaLike> = field('a Piscina', (value) => {
  const { run, on, threads } = (value ?? {}) as Partial<PiscinaLike>;
  return typeof run === 'function' && typeof on === 'function' && Array.isArray(threads) ? (value as PiscinaLike) : undefined;
});

/** As many threads as there can be. */
export function upTo(most: number): Field<number> {
  return field(`a whole number up to ${most}, as many threads as it was made with`, (value) =>
    Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= most ? (value as number) : undefined,
  );
}

/** Options of one task. */
export const taskFields: Fields<Required<TaskOptions>> = {
  name: text().optional(),
  transferList: field('an array of what can be transferred', (value) =>
    Array.isArray(value) ? (value as object[]) : undefined,
  ).optional(),
};

interface Source {
  readonly filename?: unknown;
  readonly threads?: number | undefined;
  readonly minThreads: number;
  readonly pool?: unknown;
}

/**
 * Checks that threads are either made, and from what, or given.
 *
 * @throws OptionsError
 */
export function checkSource(settings: Source, given: object): void {
  const [first, ...others] = settings.pool === undefined ? made(settings) : besidesPool(given);
  if (first !== undefined) throw new OptionsError([first, ...others]);
}

function made({ filename, threads, minThreads }: Source): readonly OptionProblem[] {
  const problems: OptionProblem[] = [];
  if (filename === undefined) problems.push({ path: 'workerPool.filename', expected: file.expected, got: 'nothing, and no pool' });
  if (threads !== undefined && minThreads > threads)
    problems.push({ path: 'workerPool.minThreads', expected: `at most as many as threads (${threads})`, got: show(minThreads) });
  return problems;
}

function besidesPool(given: object): readonly OptionProblem[] {
  const makesThreads = ['filename', 'threads', 'minThreads', 'idleTimeout', 'resourceLimits'];
  const useless = Object.entries(given).filter(([name, value]) => value !== undefined && makesThreads.includes(name));
  const expected = 'nothing beside pool, which has its threads';
  return useless.map(([name, value]) => ({ path: `workerPool.${name}`, expected, got: show(value) }));
}
