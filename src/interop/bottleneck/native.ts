import type { Call } from '../../core/call.ts';
import { systemClock, wallTime } from '../../core/clock.ts';
import type { PolicyOptions } from '../../core/mode.ts';
import { readOptions, show } from '../../core/options.ts';
import { type Bulkhead, type BulkheadOptions, bulkhead } from '../../policies/bulkhead.ts';
import { type FixedWindow, fixedWindow } from '../../policies/fixed-window.ts';
import { type LeakyBucket, leakyBucket } from '../../policies/leaky-bucket.ts';
import { type RacingTimeout, timeout } from '../../policies/timeout.ts';
import { type TokenBucket, tokenBucket } from '../../policies/token-bucket.ts';
import {
  type BottleneckJobOptions,
  type BottleneckJobSettings,
  type BottleneckSettings,
  bottleneckFields,
  bottleneckJobFields,
} from './fields.ts';
import { checkGiven, checkNoInstance, checkNoKeys } from './mistaken.ts';
import { BLOCK, OVERFLOW, OVERFLOW_PRIORITY, bounds, gaps } from './native-gaps.ts';
import { overflowing } from './native-overflow.ts';
import type { BottleneckNative, NativeBottleneck, NoOthers, TranslatedOptions } from './native-tuple.ts';
import { priorities } from './terms.ts';

/** What nobody bounds. Bottleneck's queue has no end unless it has a `highWater`. */
const ENDLESS = Number.MAX_SAFE_INTEGER;
/** Tokens that a reservoir may grow to which nobody bounds: as many as can be told from one more. */
const BOUNDLESS = 2 ** 30;

/**
 * Native policies for the options of a bottleneck, outermost first, to be spread into `pipeline([…])`: a bulkhead for `maxConcurrent`, a fixed window or token bucket for the
 * `reservoir`, a leaky bucket for `minTime`, a timeout for `expiration`. Each is there only if its option is.
 *
 * In this order, because bottleneck hands out places and what is in the reservoir first, holds both while it waits for `minTime`, and counts the expiration from the start of the work.
 * As there, calls wait without bound unless there is a `highWater`. What differs is listed in "Come from bottleneck".
 *
 * @param options - of the limiter
 * @param job - of its jobs, the same for all or asked of the call
 * @throws OptionsError if an option is wrong, or one has no native equal
 *
 * @example
 * ```ts
 * import { pipeline } from 'breakwater';
 * import { fromBottleneckOptions } from 'breakwater/bottleneck';
 *
 * const [slots, spacing] = fromBottleneckOptions({ maxConcurrent: 5, minTime: '20ms', highWater: 100, strategy: 2 });
 * const mails = pipeline([slots, spacing]);
 * console.log(mails.describe().layers.map(({ name }) => name), slots.active); // => ['bulkhead', 'leaky-bucket'] 0
 * console.log(await mails.execute(() => 'sent')); // => 'sent'
 * ```
 */
export function fromBottleneckOptions(): [];
export function fromBottleneckOptions<const Given extends TranslatedOptions>(
  options: Given & NoOthers<Given, keyof TranslatedOptions>,
): BottleneckNative<Given>;
export function fromBottleneckOptions<const Given extends TranslatedOptions, const Job extends BottleneckJobOptions>(
  options: Given & NoOthers<Given, keyof TranslatedOptions>,
  job: Job & NoOthers<Job, keyof BottleneckJobOptions>,
): BottleneckNative<Given, Job>;
export function fromBottleneckOptions(options: TranslatedOptions = {}, job: BottleneckJobOptions = {}): NativeBottleneck[] {
  checkNoInstance('fromBottleneckOptions', options);
  checkGiven('fromBottleneckOptions', options);
  checkNoKeys('fromBottleneckOptions.job', job);
  const settings = readOptions('fromBottleneckOptions', bottleneckFields, options, ...gaps);
  const jobs = readOptions('fromBottleneckOptions.job', bottleneckJobFields, job, ({ id }) =>
    id === undefined
      ? undefined
      : { path: 'id', expected: 'none: calls have no ids, and two may be alike. Or keep bottleneckLimiter', got: show(id) },
  );
  const name = jobs.name ?? settings.name ?? settings.id;
  const mode = job.mode === undefined ? settings.mode : jobs.mode;
  const called = (part: string): PolicyOptions => (name === undefined ? { mode } : { name: `${name}-${part}`, mode });
  return [
    ...slots(settings, jobs, called('slots')),
    ...reservoir(settings, jobs, called('reservoir')),
    ...spacing(settings, called('spacing')),
    ...expiration(jobs, called('expiration')),
  ];
}

function slots(settings: BottleneckSettings, job: BottleneckJobSettings, common: PolicyOptions): Bulkhead[] {
  const { maxConcurrent, highWater = Infinity, strategy, minTime } = settings;
  if (maxConcurrent === undefined || job.weight === 0) return [];
  // Whoever says how many has a bulkhead to ask and to resize, also if it is any number.
  if (maxConcurrent === Infinity) return [bulkhead({ maxConcurrent: ENDLESS, weight: slotsOf(job), ...common })];
  const priority = priorityOf(job);
  const options: BulkheadOptions = {
    maxConcurrent,
    weight: slotsOf(job),
    ...(priority !== false && { priority, aging: Infinity }), // as there, who ranks low may wait for ever
    ...common,
  };
  // One that can never run is refused; the others wait where the limit may still be raised.
  const maxQueue = maxConcurrent === 0 ? 0 : Math.min(highWater, ENDLESS);
  if (strategy === BLOCK && highWater < Infinity)
    return [overflowing(options, { highWater, penalty: settings.penalty ?? (15 * minTime || 5000) })];
  const evicts = strategy === OVERFLOW_PRIORITY && maxQueue > 0 && maxQueue < ENDLESS && priority !== false;
  if (strategy === OVERFLOW || strategy === OVERFLOW_PRIORITY || maxQueue === 0 || maxQueue === ENDLESS)
    return [bulkhead({ ...options, maxQueue, ...(evicts && { whenFull: 'evict-lowest' }) })];
  return [overflowing(options, { highWater, penalty: undefined })];
}

function reservoir(settings: BottleneckSettings, job: BottleneckJobSettings, common: PolicyOptions): (FixedWindow | TokenBucket)[] {
  const { reservoir: initial, maxConcurrent, highWater = Infinity } = settings;
  if (!bounds(initial) || job.weight === 0) return [];
  const cost = costOf(job);
  const queue = bounds(maxConcurrent) ? Infinity : highWater; // those who have slots wait here past the high-water mark
  const terms = { ...(cost !== undefined && { cost }), maxWait: highWater === 0 ? 0 : Infinity, maxQueue: queue, ...common };
  const { reservoirRefreshInterval, reservoirIncreaseInterval, reservoirRefreshAmount, reservoirIncreaseMaximum = BOUNDLESS } = settings;
  const window = (reservoirRefreshInterval ?? reservoirIncreaseInterval) as number;
  const amount = (reservoirRefreshAmount ?? settings.reservoirIncreaseAmount) as number;
  if (reservoirRefreshInterval === undefined && amount < reservoirIncreaseMaximum) {
    const burst = Math.min(reservoirIncreaseMaximum, BOUNDLESS);
    return [tokenBucket({ rate: amount, per: window, burst, initial: Math.min(initial, burst), ...terms })];
  }
  const limit = reservoirRefreshInterval === undefined ? reservoirIncreaseMaximum : amount;
  // Bottleneck's windows follow one another from when the limiter was made.
  const filled = fixedWindow({ limit, window, aligned: wallTime(systemClock) % window, ...terms });
  if (initial < limit) filled.penalize(limit - initial);
  return [filled];
}

function spacing({ minTime, highWater }: BottleneckSettings, common: PolicyOptions): LeakyBucket[] {
  if (minTime === 0) return [];
  const patience = highWater === 0 ? { maxQueueTime: 0 } : { maxQueueTime: Infinity, burst: ENDLESS };
  return [leakyBucket({ rate: 1, per: minTime, maxQueue: Infinity, cost: 1, ...patience, ...common })];
}

function expiration({ expiration: given }: BottleneckJobSettings, common: PolicyOptions): RacingTimeout[] {
  if (given === undefined) return [];
  const after = typeof given === 'number' ? lasting(given) : (call: Call): number => lasting(given(call));
  return [timeout({ after, ...common })];
}

/** A timeout of 0 ms is over before it begins; `null` is none. */
function lasting(ms: number | null | undefined): number {
  return Math.max(ms ?? Infinity, 0.001);
}

/** Which call goes first. Without a word on that, what the calls say: the same order as with the numbers that bottleneckLimiter gives them. */
function priorityOf({ priority }: BottleneckJobSettings): boolean | ((call: Call) => number) {
  if (priority === undefined) return true;
  return typeof priority === 'number' ? false : (call) => 9 - numbered(priority(call) ?? priorities[call.priority]);
}

/** As bottleneck reads it: what is no whole number is 5, the others are brought within 0 to 9. */
function numbered(priority: unknown): number {
  return Number.isInteger(priority) ? Math.min(Math.max(priority as number, 0), 9) : 5;
}

/** A call takes one slot at least, and whole ones. */
function slotsOf({ weight }: BottleneckJobSettings): number | ((call: Call) => number) {
  if (typeof weight === 'number') return weight;
  return (call) => Math.max(1, Math.ceil(weight?.(call) ?? call.cost));
}

/** `undefined`: what the call says. */
function costOf({ weight }: BottleneckJobSettings): number | ((call: Call) => number) | undefined {
  return typeof weight === 'function' ? (call) => weight(call) ?? call.cost : weight;
}
