import { Codel, type DelayControl, StandardCodel } from '../../algorithms/codel.ts';
import { Fifo, type Linked } from '../../algorithms/fifo.ts';
import { ByKey } from '../../algorithms/lines/by-key.ts';
import { Lifo } from '../../algorithms/lines/lifo.ts';
import type { Line, Standing } from '../../algorithms/lines/line.ts';
import { Ranked } from '../../algorithms/lines/ranked.ts';
import type { QueueSettings } from './queue-options.ts';

/**
 * Makes lines of the order that was asked for: by key on the outside, so that no tenant gets more turns by calling its calls important; by rank within a
 * key; among equals first or last come, first served. `slots`: how many there are when somebody asks.
 */
export function lineMaker<Waiting extends Linked & Standing>(settings: QueueSettings, slots: () => number): () => Line<Waiting> {
  const { queue, priority, aging, fairBy } = settings;
  const base = (): Line<Waiting> => {
    if (priority !== false) return new Ranked<Waiting>(aging);
    if (queue.kind === 'lifo') return new Lifo<Waiting>();
    if (queue.kind !== 'adaptive-lifo') return new Fifo<Waiting>();
    const { threshold } = queue;
    return new Lifo<Waiting>(threshold === undefined ? slots : () => threshold);
  };
  return fairBy === undefined ? base : () => new ByKey(base);
}

/** What lets calls go that waited in a queue that stands, if that was asked for. */
export function delayControlOf({ queue }: QueueSettings): DelayControl | undefined {
  if (queue.kind !== 'codel') return undefined;
  const { target = 5, interval = 100, law } = queue;
  const control = law === 'rfc8289' ? new StandardCodel({ target, interval }) : new Codel({ target, interval });
  control.idle(); // the first burst of all is no worse than the others
  return control;
}
