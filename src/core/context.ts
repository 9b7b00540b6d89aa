import { AsyncLocalStorage } from 'node:async_hooks';
import type { Call } from './call.ts';
import type { Priority } from './priority.ts';

/**
 * Which call's work this code runs in. While the work's first stretch runs, before it waits for anything, a variable tells. After that it takes async
 * context, whose first use turns on promise hooks on Node 20 and 22, which slow every promise in the process by a multiple; so only pipelines that ask for it are
 * tracked (decision 9).
 */
const running = new AsyncLocalStorage<Call>();

/**
 * What can be seen without asking the storage: the call whose work's first stretch runs now, and whether any work was ever run tracked. An object, and not functions around variables: it is
 * looked at and set for every call.
 *
 * @internal
 */
export const present: { call: Call | undefined; tracking: boolean } = { call: undefined, tracking: false };

/**
 * The call whose work this code runs in. Known in the first stretch of any work, up to where it first waits; after that if the pipeline is tracked:
 * `pipeline(policies, { track: true })`.
 *
 * @example
 * ```ts
 * import { currentCall, pipeline } from 'breakwater';
 *
 * const priceOf = (): string => `asked in attempt ${currentCall()?.attempt}`;
 * console.log(await pipeline([]).execute(() => priceOf())); // => 'asked in attempt 1'
 * console.log(currentCall()); // => undefined
 * ```
 */
export function currentCall(): Call | undefined {
  return present.call ?? (present.tracking ? running.getStore() : undefined);
}

/**
 * When the call whose work this code runs in must be over: ms on its pipeline's clock, as `call.deadline`; `Infinity` if never, or if there is no such call. Calls made
 * in its work inherit it.
 *
 * @example
 * ```ts
 * import { currentDeadline, pipeline, timeout } from 'breakwater';
 *
 * const quick = pipeline([timeout({ after: '1s' })]);
 * console.log(await quick.execute(() => Number.isFinite(currentDeadline()))); // => true
 * console.log(currentDeadline()); // => Infinity
 * ```
 */
export function currentDeadline(): number {
  return currentCall()?.deadline ?? Infinity;
}

/**
 * How much the call whose work this code runs in matters; `undefined` if there is no such call. Calls made in its work inherit it.
 *
 * @example
 * ```ts
 * import { currentPriority, pipeline } from 'breakwater';
 *
 * const reports = pipeline([]);
 * console.log(await reports.execute(() => currentPriority(), { priority: 'sheddable' })); // => 'sheddable'
 * ```
 */
export function currentPriority(): Priority | undefined {
  return currentCall()?.priority;
}

/** Runs the work of a call so that {@link currentCall} finds it, also after awaits. */
export function runAs<T>(call: Call, work: (call: Call) => T): T {
  present.tracking = true;
  return running.run(call, work, call);
}

/** Whether a call is `outer` or derives from it. */
export function isWithin(call: Call, outer: Call): boolean {
  let one: Call | undefined = call;
  while (one !== undefined && one !== outer) one = one.parent;
  return one !== undefined;
}

/**
 * The calls whose work a call was made in, however far out: the innermost with those it derives from, then the one that was made in, and so on. Ask while the call is on its way in: of a
 * call that is over, but left work behind that makes calls, only the context tells.
 */
export function makersOf(call: Call): ReadonlySet<Call> {
  const makers = new Set<Call>();
  const { root } = call;
  const here = currentCall();
  const left = here !== undefined && here.root !== root && here.root.over ? here : undefined;
  for (let maker = root.madeIn ?? left; maker !== undefined && !makers.has(maker); maker = maker.root.madeIn) {
    for (let one: Call | undefined = maker; one !== undefined; one = one.parent) makers.add(one);
  }
  return makers;
}
