import { type Duration, type Fields, duration, field, flag, readOptions, text } from './options.ts';

/** How much a call matters when not all can be served, from most to least. */
export type Priority = 'critical-plus' | 'critical' | 'sheddable-plus' | 'sheddable' | 'best-effort';

/** Options of one execution. */
export interface CallOptions {
  /** Ends the call at once when it aborts, with its very reason. */
  readonly signal?: AbortSignal | undefined;
  /** Time the call may take in all, from now. */
  readonly deadline?: Duration | undefined;
  /** What the call is about (tenant, host, user), for policies that keep state per key. */
  readonly key?: string | undefined;
  /** @defaultValue `'critical'` */
  readonly priority?: Priority | undefined;
  /** Name of the operation, for events. */
  readonly operation?: string | undefined;
  /** Whether running the work twice does no harm. */
  readonly idempotent?: boolean | undefined;
  /** Whatever should be carried along. */
  readonly tags?: Readonly<Record<string, unknown>> | undefined;
}

/** The same, as read. */
export interface CallSettings {
  readonly signal: AbortSignal | undefined;
  /** ms from now */
  readonly deadline: number;
  readonly key: string | undefined;
  readonly priority: Priority;
  readonly operation: string | undefined;
  readonly idempotent: boolean | undefined;
  readonly tags: Readonly<Record<string, unknown>>;
}

const priorities: ReadonlySet<unknown> = new Set<Priority>(['critical-plus', 'critical', 'sheddable-plus', 'sheddable', 'best-effort']);

const fields: Fields<CallSettings> = {
  signal: field<AbortSignal>('an AbortSignal', (value) => (isSignal(value) ? value : undefined)).optional(),
  deadline: duration({ infinite: true }).or(Infinity),
  key: field('a string', (value) => (typeof value === 'string' ? value : undefined)).optional(),
  priority: field([...priorities].join(', '), (value) => (priorities.has(value) ? (value as Priority) : undefined)).or('critical'),
  operation: text().optional(),
  idempotent: flag().optional(),
  tags: field('an object', (value) => (typeof value === 'object' && value !== null ? (value as CallSettings['tags']) : undefined)).or(
    Object.freeze({}),
  ),
};

/** What stands when nothing is given. */
export const noOptions: CallSettings = readOptions('call', fields, {});

/** Reads the options of one execution. */
export function readCallOptions(given: CallOptions): CallSettings {
  return readOptions('call', fields, given);
}

function isSignal(value: unknown): value is AbortSignal {
  const signal = value as Partial<AbortSignal> | null;
  return typeof signal === 'object' && typeof signal?.aborted === 'boolean' && typeof signal.addEventListener === 'function';
}
