import type { Wants } from '../../algorithms/lines/line.ts';
import type { Call } from '../../core/call.ts';
import type { Clock } from '../../core/clock.ts';
import { show } from '../../core/options.ts';
import type { SharedSlots } from './shared-slots.ts';

/** What keeps a call that found no slot from waiting for one, for its error's message. `evicts`: it would take the place of another. */
export function obstacleFor(shared: SharedSlots, call: Call, wants: Wants | undefined, clock: Clock, evicts: boolean): string | undefined {
  const { slots, queueing } = shared;
  const key = wants?.key;
  if (key !== undefined && slots.ofKey(key) >= queueing.maxPerKey) return `${show(key)} has as many calls as a key may have (maxPerKey)`;
  if (queueing.maxQueue === 0) return 'has no queue (maxQueue is 0)';
  if (!call.waits) return 'tryAcquire does not wait';
  if (!slots.hasPlace && !evicts) return `its queue of ${queueing.maxQueue} is full`;
  return wants === undefined || !queueing.shed ? undefined : hopeless(shared, call, wants, clock.now());
}

/** Whether slots come free too slowly for a newcomer to get one in the time that it has. */
function hopeless({ slots, flow, queueing }: SharedSlots, { deadline }: Call, wants: Wants, now: number): string | undefined {
  const patience = Math.min(queueing.maxWait, deadline - now);
  if (patience === Infinity || flow === undefined) return undefined;
  const wait = flow.estimate(slots.line.ahead(wants, now) + wants.weight, now);
  if (wait === undefined || wait <= patience) return undefined;
  return `at the rate at which slots come free the call would wait about ${Math.round(wait)} ms, and it has ${Math.round(patience)} (shed)`;
}
