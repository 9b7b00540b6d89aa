import type { Throttling } from '../../algorithms/throttling.ts';
import type { PlainData } from '../../core/policy.ts';
import { type Priority, priorities } from '../../core/priority.ts';

/** Classes of calls, from the one that matters least. */
export const classes: readonly Priority[] = priorities.toReversed();

/** The window of one class of calls. */
export type ThrottleClass = Readonly<Record<'requests' | 'accepts' | 'rejectionProbability', number>>;

/** What is in the window, in all and by class; `pending`: calls under way; `rejectionProbability`: share of the present mix of calls that is turned away. */
export type ThrottleSnapshot = PlainData &
  Readonly<Record<'requests' | 'accepts' | 'pending' | 'rejectionProbability', number>> & {
    readonly classes: Readonly<Partial<Record<Priority, ThrottleClass>>>;
  };

/** How a throttle stands at `now`. */
export function overview(state: Throttling, now: number): ThrottleSnapshot {
  let [requests, accepts, rejected] = [0, 0, 0];
  const byClass: Partial<Record<Priority, ThrottleClass>> = {};
  for (const [place, name] of classes.entries()) {
    const rejectionProbability = state.probability(place, now);
    const window = state.accounts[place]?.window;
    if (window === undefined || window.requests + window.accepts === 0) continue;
    byClass[name] = { requests: window.requests, accepts: window.accepts, rejectionProbability };
    requests += window.requests;
    accepts += window.accepts;
    rejected += window.requests * rejectionProbability;
  }
  const [only, ...others] = Object.values(byClass);
  const rejectionProbability = only === undefined ? 0 : others.length === 0 ? only.rejectionProbability : rejected / requests;
  return { requests, accepts, pending: state.pending, rejectionProbability, classes: byClass };
}
