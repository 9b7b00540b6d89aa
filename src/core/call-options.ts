import { OptionsError } from './errors.ts';
import { type Duration, type Fields, duration, field, flag, numeric, readOptions, text } from './options.ts';
import { SoleSignal } from './signals.ts';
import { LEVELS, type Priority, isPriority, priorities } from './priority.ts';

/** Options of one execution. */
export interface CallOptions {
  /** Ends the call at once when it aborts, with its very reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Time the call may take in all, from now. A call made in the work of another has no more than is left to that one, unless this is `Infinity`.
   * @defaultValue what is left to the call in whose work it is made
   */
  readonly deadline?: Duration | undefined;
  /** What the call is about (tenant, host, user), for policies that keep state per key. */
  readonly key?: string | undefined;
  /** What the call takes of rate limits that have no `cost` option of their own; `0`: nothing. Calls made in its work have their own. @defaultValue `1` */
  readonly cost?: number | undefined;
  /** How much the call matters. @defaultValue that of the call in whose work it is made, or `'critical'` */
  readonly priority?: Priority | undefined;
  /** How much it matters among those of its class, 0 to 99, a whole number; more is more. @defaultValue drawn by chance, once for a call and all that are made in its work */
  readonly priorityLevel?: number | undefined;
  /** Name of the operation, for events. */
  readonly operation?: string | undefined;
  /** Whether running the work twice does no harm. */
  readonly idempotent?: boolean | undefined;
  /** A key of your own under which the service knows repeated attempts for one. @defaultValue a random one, made if somebody asks */
  readonly idempotencyKey?: string | undefined;
  /** Whatever should be carried along. */
  readonly tags?: Readonly<Record<string, unknown>> | undefined;
}

/** The same, as read, with what policies add for the calls that derive from it. */
export interface CallSettings {
  readonly signal: AbortSignal | undefined;
  /** ms from now; `undefined` if the caller did not say. */
  readonly deadline: number | undefined;
  readonly key: string | undefined;
  readonly cost: number;
  readonly priority: Priority | undefined;
  readonly priorityLevel: number | undefined;
  readonly operation: string | undefined;
  readonly idempotent: boolean | undefined;
  readonly idempotencyKey: string | undefined;
  readonly tags: Readonly<Record<string, unknown>>;
  readonly hedge: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** What no caller gives. */
const added = Object.freeze({ hedge: 0, headers: Object.freeze({}) as CallSettings['headers'] });

const noTags: CallSettings['tags'] = Object.freeze({});

const fields: Fields<Omit<CallSettings, keyof typeof added>> = {
  signal: field<AbortSignal>('an AbortSignal', (value) => (isSignal(value) ? value : undefined)).optional(),
  deadline: duration({ infinite: true }).optional(),
  key: field('a string', (value) => (typeof value === 'string' ? value : undefined)).optional(),
  cost: numeric({ min: 0 }).or(1),
  priority: field(priorities.join(', '), (value) => (isPriority(value) ? value : undefined)).optional(),
  priorityLevel: field(`a whole number from 0 to ${LEVELS - 1}`, (value) => (isLevel(value) ? value : undefined)).optional(),
  operation: text().optional(),
  idempotent: flag().optional(),
  idempotencyKey: text().optional(),
  tags: field('an object', (value) => (typeof value === 'object' && value !== null ? (value as CallSettings['tags']) : undefined)).or(
    Object.freeze({}),
  ),
};

/** What stands when nothing is given. */
export const noOptions: CallSettings = { ...readOptions('call', fields, {}), ...added };

/** Reads the options of one execution. Those in plain order are taken as they are; the table is asked where one is not, and tells what is wrong. */
export function readCallOptions(given: CallOptions): CallSettings {
  if (isSignal(given)) throw new OptionsError([{ path: 'call', expected: 'an object: write { signal }', got: 'a signal by itself' }]);
  return inOrder(given) ? taken(given) : { ...readOptions('call', fields, given), ...added };
}

/** The same settings with another key. @throws OptionsError */
export function withKey(settings: CallSettings, key: string | undefined): CallSettings {
  return { ...settings, key: readCallOptions({ key }).key };
}

function inOrder(given: unknown): given is PlainOptions {
  if (typeof given !== 'object' || given === null) return false;
  for (const name in given) if (!Object.hasOwn(fields, name) || !Object.hasOwn(given, name)) return false;
  const { signal, deadline, key, cost, priority, priorityLevel, operation, idempotent, idempotencyKey, tags } = given as Readonly<
    Record<string, unknown>
  >;
  return (
    (signal === undefined || isSignal(signal)) &&
    (deadline === undefined || (typeof deadline === 'number' && deadline >= 0)) &&
    (key === undefined || typeof key === 'string') &&
    (cost === undefined || (typeof cost === 'number' && cost >= 0 && cost < Infinity)) &&
    (priority === undefined || isPriority(priority)) &&
    (priorityLevel === undefined || isLevel(priorityLevel)) &&
    (operation === undefined || (typeof operation === 'string' && operation !== '')) &&
    (idempotent === undefined || typeof idempotent === 'boolean') &&
    (idempotencyKey === undefined || (typeof idempotencyKey === 'string' && idempotencyKey !== '')) &&
    (tags === undefined || (typeof tags === 'object' && tags !== null))
  );
}

/** Options with nothing to be worked out. */
type PlainOptions = CallOptions & { readonly deadline?: number | undefined };

function taken({
  signal,
  deadline,
  key,
  cost = 1,
  priority,
  priorityLevel,
  operation,
  idempotent,
  idempotencyKey,
  tags = noTags,
}: PlainOptions): CallSettings {
  const { hedge, headers } = added;
  return { signal, deadline, key, cost, priority, priorityLevel, operation, idempotent, idempotencyKey, tags, hedge, headers };
}

function isLevel(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < LEVELS;
}

function isSignal(value: unknown): value is AbortSignal {
  const signal = value as Partial<AbortSignal> | null;
  if (signal instanceof SoleSignal) return true;
  return typeof signal === 'object' && typeof signal?.aborted === 'boolean' && typeof signal.addEventListener === 'function';
}
