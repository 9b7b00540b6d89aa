import type { Call } from '../../core/call.ts';
import type { OptionProblem } from '../../core/errors.ts';
import { type Duration, Field, type Fields, type Rule, count, duration, field, flag, fn, group, oneOf, show } from '../../core/options.ts';
import type { PlainData } from '../../core/policy.ts';

/** In which order waiting calls get slots, and which of them are let go. `Time` is what a length of time is given as: ms, once read. */
export type QueueOrder<Time = number> =
  | { readonly kind: 'fifo' | 'lifo' }
  | {
      readonly kind: 'adaptive-lifo';
      /** The newest go first while more calls wait than this. @defaultValue as many as there are slots */
      readonly threshold?: number | undefined;
    }
  | {
      readonly kind: 'codel';
      /** The wait that a queue may cost for long. @defaultValue `'5ms'` */
      readonly target?: Time;
      /** How long it may cost more. @defaultValue `'100ms'` */
      readonly interval?: Time;
      /** `'folly'`: lets all go who have waited for twice the target; `'rfc8289'`: one after the other, faster and faster. @defaultValue `'folly'` */
      readonly law?: 'folly' | 'rfc8289';
    };

/** Options of a queue in front of slots. */
export interface QueueOptions {
  /** How many more may wait for a slot. Without a queue a call that finds all slots taken is refused at once. @defaultValue `0` */
  readonly maxQueue?: number;
  /** How long a call may wait in the queue; its deadline bounds the wait too. @defaultValue `Infinity` */
  readonly maxWait?: Duration;
  /**
   * Whose turn it is: `'fifo'`, first come, first served; `'lifo'`, the newest; `'adaptive-lifo'`, the newest while the queue is long; `'codel'`, the oldest, and those
   * who waited in a queue that stands are let go. Or an object with that as its `kind`, and settings. @defaultValue `'fifo'`
   */
  readonly queue?: QueueOrder['kind'] | QueueOrder<Duration>;
  /** Calls of a higher rank go first: `true` for that of `call.rank` (priority and level), or a function that ranks them. @defaultValue `false` */
  readonly priority?: boolean | ((call: Call) => number);
  /** A waiting call gains one class (100 ranks) in this time, so that nobody waits for ever; `Infinity`: never. @defaultValue `'1s'` */
  readonly aging?: Duration;
  /** `'evict-lowest'`: where the queue is full, a newcomer takes the place of the waiting call of the lowest rank, if it ranks higher. @defaultValue `'refuse'` */
  readonly whenFull?: 'refuse' | 'evict-lowest';
  /** Whose call it is: those of each key wait in a line of their own, and the lines are served in turn. */
  readonly fairBy?: (call: Call) => string | undefined;
  /** How many calls of one key may wait or run; more are refused. @defaultValue `Infinity` */
  readonly maxPerKey?: number;
  /** How many slots a call takes. @defaultValue `1` */
  readonly weight?: number | ((call: Call) => number);
  /** Refuses a call at once if slots come free too slowly for it to get one before its deadline, or within `maxWait`. @defaultValue `false` */
  readonly shed?: boolean;
  /** Shares of all slots, 0 to 1, each kept for the calls of a name. What nobody uses is lent. */
  readonly partitions?: Readonly<Record<string, number>>;
  /** To which of the partitions a call belongs. */
  readonly partitionBy?: (call: Call) => string | undefined;
}

/** The same, as read. */
export interface QueueSettings extends Required<
  Omit<QueueOptions, 'maxWait' | 'queue' | 'aging' | 'fairBy' | 'partitions' | 'partitionBy'>
> {
  readonly maxWait: number;
  readonly queue: QueueOrder;
  readonly aging: number;
  readonly fairBy: QueueOptions['fairBy'];
  readonly partitions: ReadonlyMap<string, number> | undefined;
  readonly partitionBy: QueueOptions['partitionBy'];
}

type OrderFields = { readonly [Kind in QueueOrder['kind']]: Field<unknown> };

const kinds = ['fifo', 'lifo', 'adaptive-lifo', 'codel'] as const;

const orders: OrderFields = {
  fifo: group({ kind: oneOf('fifo') }),
  lifo: group({ kind: oneOf('lifo') }),
  'adaptive-lifo': group({ kind: oneOf('adaptive-lifo'), threshold: count().optional() }),
  codel: group({
    kind: oneOf('codel'),
    target: duration({ min: 0.001 }).or('5ms'),
    interval: duration({ min: 0.001 }).or('100ms'),
    law: oneOf('folly', 'rfc8289').or('folly'),
  }),
};

/** Orders by their name alone, one object for each: settings that are alike can be told to be. */
const plainOrders: ReadonlyMap<unknown, QueueOrder> = new Map(
  kinds.map((kind) => [kind, Object.freeze(orders[kind].read({ kind }, '', [])) as QueueOrder]),
);

const order: Field<QueueOrder> = new Field<QueueOrder>(
  `${kinds.map((kind) => `'${kind}'`).join(', ')}, or an object with one of them as its kind and settings: threshold; target, interval, law`,
  (value, path, problems) => {
    const plain = plainOrders.get(value);
    if (plain !== undefined) return plain;
    const given: unknown = typeof value === 'string' ? { kind: value } : value;
    const kind: unknown = typeof given === 'object' && given !== null ? (given as { kind?: unknown }).kind : undefined;
    if (kinds.includes(kind as QueueOrder['kind'])) return orders[kind as QueueOrder['kind']].read(given, path, problems) as QueueOrder;
    problems.push({ path, expected: kinds.map((each) => `'${each}'`).join(', '), got: show(kind ?? value) });
    return { kind: 'fifo' };
  },
);

const shares: Field<ReadonlyMap<string, number>> = field('an object of names with shares above 0, together at most 1', (value) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const entries = Object.entries(value as Record<string, unknown>);
  const sound = entries.every(([, share]) => typeof share === 'number' && share > 0 && share <= 1);
  if (!sound || entries.length === 0 || entries.reduce((sum, [, share]) => sum + (share as number), 0) > 1 + 1e-9) return undefined;
  return new Map(entries as [string, number][]);
});

/** Their table. */
export const queueFields: Fields<QueueSettings> = {
  maxQueue: count().or(0),
  maxWait: duration({ min: 0.001, infinite: true }).or(Infinity),
  queue: order.or('fifo'),
  priority: flag().orFunction<(call: Call) => number>('(call) => rank').or(false),
  aging: duration({ min: 0.001, infinite: true }).or('1s'),
  whenFull: oneOf('refuse', 'evict-lowest').or('refuse'),
  fairBy: fn<(call: Call) => string | undefined>('(call) => key').optional(),
  maxPerKey: count({ min: 1, infinite: true }).or(Infinity),
  weight: count({ min: 1 }).orFunction<(call: Call) => number>('(call) => slots').or(1),
  shed: flag().or(false),
  partitions: shares.optional(),
  partitionBy: fn<(call: Call) => string | undefined>('(call) => name').optional(),
};

/** What options of a queue need to have an effect, in their order. */
export const queueRules: readonly Rule<QueueSettings>[] = [
  needs('aging', ({ aging, priority }) => aging === 1000 || priority !== false, 'priority to go with it'),
  needs('whenFull', ({ whenFull, priority }) => whenFull === 'refuse' || priority !== false, 'priority to go with it'),
  needs(
    'priority',
    ({ priority, queue: { kind } }) => priority === false || kind === 'fifo' || kind === 'codel',
    "queue 'fifo' or 'codel'",
  ),
  needs('maxPerKey', ({ maxPerKey, fairBy }) => maxPerKey === Infinity || fairBy !== undefined, 'fairBy to go with it'),
  needs('partitions', ({ partitions, partitionBy }) => partitions === undefined || partitionBy !== undefined, 'partitionBy to go with it'),
  needs('partitionBy', ({ partitions, partitionBy }) => partitions !== undefined || partitionBy === undefined, 'partitions to go with it'),
];

function needs(path: keyof QueueSettings, holds: (settings: QueueSettings) => boolean, expected: string): Rule<QueueSettings> {
  return (settings): OptionProblem | undefined => (holds(settings) ? undefined : { path, expected, got: 'none' });
}

/** Options that do nothing without a queue. */
const queued = ['maxWait', 'queue', 'priority', 'shed'] as const;

/** The first option that was given though no call ever waits. */
export function uselessIn(owner: string, options: QueueOptions): OptionProblem | undefined {
  const useless =
    options.maxQueue === undefined ? queued.find((name) => options[name] !== undefined && options[name] !== false) : undefined;
  if (useless === undefined) return undefined;
  return { path: `${owner}.maxQueue`, expected: `a queue to go with ${useless}`, got: 'none (by default no call waits)' };
}

/** The settings as plain data. */
export function describeQueue(settings: QueueSettings): PlainData {
  const { maxQueue, maxWait, queue, priority, aging, whenFull, fairBy, maxPerKey, weight, shed, partitions } = settings;
  const asked = (value: unknown): unknown => (typeof value === 'function' ? 'by call' : value);
  return {
    maxQueue,
    maxWait,
    queue: { ...queue },
    priority: asked(priority),
    ...(priority !== false && { aging, whenFull }),
    ...(fairBy !== undefined && { fairBy: 'by call', maxPerKey }),
    weight: asked(weight),
    shed,
    ...(partitions !== undefined && { partitions: Object.fromEntries(partitions) }),
  };
}
