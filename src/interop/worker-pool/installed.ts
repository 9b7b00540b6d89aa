import { createRequire } from 'node:module';
import type { Piscina } from 'piscina';
import { LONGEST_TIMER } from '../../core/clock.ts';
import { ResilienceError } from '../../core/errors.ts';
import type { PiscinaLike } from './threads.ts';

/** How threads are made. */
export interface ThreadOptions {
  readonly filename: string;
  readonly minThreads: number;
  readonly maxThreads: number;
  /** How long a thread above `minThreads` stays without work, ms. */
  readonly idleTimeout: number;
  readonly resourceLimits?: object | undefined;
}

type Load = (name: string) => unknown;

/**
 * Makes threads with the piscina that is installed. It is looked for here and not before, so that this package can be imported without it.
 *
 * @throws ResilienceError if there is none
 */
export function piscinaOf(options: ThreadOptions, load: Load = createRequire(import.meta.url)): PiscinaLike {
  const { filename, minThreads, maxThreads, resourceLimits } = options;
  const Type = loaded(load);
  const pool = new Type({
    filename,
    minThreads,
    maxThreads,
    idleTimeout: Math.min(options.idleTimeout, LONGEST_TIMER),
    // Tasks wait in front of the pool. Here they wait only for a thread that starts.
    maxQueue: Infinity,
    recordTiming: false,
    ...(resourceLimits !== undefined && { resourceLimits }),
  });
  return pool;
}

function loaded(load: Load): typeof Piscina {
  try {
    return (load('piscina') as { readonly Piscina: typeof Piscina }).Piscina;
  } catch (cause) {
    throw new ResilienceError('workerPool: the package piscina cannot be loaded; install it (npm install piscina)', { cause });
  }
}
