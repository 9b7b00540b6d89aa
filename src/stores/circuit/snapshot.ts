import { createHash } from 'node:crypto';
import type { Circuit } from '../../algorithms/circuit.ts';
import { remember } from '../../algorithms/circuit-memory.ts';
import type { CircuitMemory, CircuitSettings, CircuitSnapshot, CircuitState, Standing } from '../../algorithms/circuit-state.ts';
import type { Window, WindowRows } from '../../algorithms/window.ts';
import { windowOf } from '../../algorithms/windows.ts';
import { OptionsError } from '../../core/errors.ts';
import { type Field, type Fields, count, field, flag, group, numeric, oneOf, readOptions, show, text } from '../../core/options.ts';

const standings = ['closed', 'open', 'half-open', 'disabled', 'metrics-only'] as const satisfies readonly Standing[];
const span = numeric({ min: 0 });
const words = field('a string', (value) => (typeof value === 'string' ? value : undefined)).optional();
const rows: Field<WindowRows> = field('an array of rows', (value) =>
  Array.isArray(value) && value.every((row) => Array.isArray(row)) ? (value as WindowRows).map((row) => [...row]) : undefined,
);

const memoryFields: Fields<CircuitMemory> = {
  state: oneOf(...standings, 'isolated') satisfies Field<CircuitState>,
  standing: oneOf(...standings),
  why: words,
  openCount: count(),
  openFor: span.optional(),
  openLeft: span.optional(),
  age: span,
  openedAgo: span,
  closedAgo: span,
  ramping: flag(),
  consecutiveFailures: count(),
  consecutiveSuccesses: count(),
  lastFailure: words,
  window: rows,
};

/** What of a snapshot is read again. */
export interface Taken {
  readonly takenAt: number;
  readonly config: string;
  readonly memory: CircuitMemory;
}

const fields: Fields<Taken> = { takenAt: span, config: text(), memory: group(memoryFields) };

/** A circuit of the past, to go on from. */
export interface Past {
  readonly memory: CircuitMemory;
  /** Its window; `undefined` if its counts mean something else now. */
  readonly window: Window | undefined;
  /** ms since then. */
  readonly elapsed: number;
}

/** Stands for the settings that say what the counts of a window mean. */
function configOf({ window, slowCall }: CircuitSettings): string {
  return createHash('sha256')
    .update(JSON.stringify([window, slowCall]))
    .digest('hex')
    .slice(0, 16);
}

/** A failure that is a text is cut to so many characters. */
const LONGEST_WORDS = 200;

/** All that there is to know about a circuit, as plain data. */
export function snapshotOf(circuit: Circuit, now: number, wall: number): CircuitSnapshot {
  const reading = circuit.read(now);
  const lastFailure = inWords(circuit.lastFailure);
  const memory = remember(circuit, lastFailure, now);
  return { ...reading, lastFailure, why: memory.why, takenAt: wall, config: configOf(circuit.settings), memory };
}

function inWords(failure: unknown): string | undefined {
  try {
    if (failure instanceof Error) return `${failure.name}: ${failure.message}`;
    if (typeof failure === 'string') return failure.slice(0, LONGEST_WORDS);
    return failure === undefined ? undefined : show(failure);
  } catch {
    return 'something that cannot be shown';
  }
}

/**
 * Reads a snapshot, which may have been taken in another process and been through JSON since.
 *
 * @throws OptionsError if it is none
 */
export function readSnapshot(snapshot: unknown, owner: string): Taken {
  return readOptions(owner, fields, known(snapshot));
}

/**
 * What became of the circuit up to now.
 *
 * @throws OptionsError if its window is none
 */
export function pastOf({ takenAt, config, memory }: Taken, owner: string, settings: CircuitSettings, now: number, wall: number): Past {
  const elapsed = Math.max(0, wall - takenAt);
  if (config !== configOf(settings)) return { memory, window: undefined, elapsed };
  const window = windowOf(settings.window);
  if (window.load(memory.window, now, elapsed)) return { memory, window, elapsed };
  throw new OptionsError([{ path: `${owner}.memory.window`, expected: 'what snapshot() said of such a window', got: 'other rows' }]);
}

/** What a snapshot says beside is for its readers. What JSON or a database made of `undefined` is nothing. */
function known(snapshot: unknown): unknown {
  const whole = picked(snapshot, Object.keys(fields));
  return whole === snapshot
    ? snapshot
    : { ...(whole as object), memory: picked((whole as Partial<Taken>).memory, Object.keys(memoryFields)) };
}

function picked(value: unknown, names: readonly string[]): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const of = value as Readonly<Record<string, unknown>>;
  return Object.fromEntries(names.filter((name) => Object.hasOwn(of, name)).map((name) => [name, of[name] ?? undefined]));
}
