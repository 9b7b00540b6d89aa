/** Open-loop load: requests come when they come, as from many independent users, whether or not earlier ones have been answered. */

import { Agent, request } from 'node:http';
import { seededRandom } from 'breakwater/testing';

/** How one request ended for the user who sent it. */
export type Ending = 'fresh' | 'degraded' | 'refused' | 'failed' | 'timed out';

export interface Shot {
  /** When it was sent, ms since the load began. */
  readonly at: number;
  /** How long it took, ms. */
  readonly took: number;
  readonly ending: Ending;
}

/** Told what happens. */
export interface Witness {
  sent(at: number): void;
  ended(shot: Shot): void;
}

export interface Plan {
  /** Requests per second, on average. */
  readonly rate: number;
  /** How long to go on, ms. */
  readonly lasts: number;
  /** How many different items are asked for. */
  readonly items: number;
  /** How long users wait, ms. */
  readonly patience: number;
  readonly seed: number;
}

/**
 * Sends requests with exponentially distributed gaps (a Poisson process) and tells of each when it was sent and how it ended. The seed decides when they
 * are due and what they ask for, so two gateways get the very same users. Resolves when the last one has ended.
 */
export async function load(port: number, plan: Plan, witness?: Witness): Promise<void> {
  const random = seededRandom(plan.seed);
  const agent = new Agent({ keepAlive: true });
  const start = performance.now();
  const underWay = new Set<Promise<void>>();
  for (let due = gap(); due < plan.lasts; due += gap()) {
    const item = Math.floor(random() * plan.items);
    const early = start + due - performance.now();
    if (early > 0) await new Promise((resolve) => setTimeout(resolve, early));
    const at = performance.now() - start;
    witness?.sent(at);
    const shot = send(port, agent, `/stock/${item}`, plan.patience).then(({ ending, took }) => {
      underWay.delete(shot);
      witness?.ended({ at, took, ending });
    });
    underWay.add(shot);
  }
  await Promise.all(underWay);
  agent.destroy();

  function gap(): number {
    return (-Math.log(1 - random()) / plan.rate) * 1000;
  }
}

/** One request of one user. */
export function send(port: number, agent: Agent, path: string, patience: number): Promise<{ ending: Ending; took: number }> {
  const start = performance.now();
  return new Promise((resolve) => {
    const sending = request({ host: '127.0.0.1', port, path, agent });
    const end = (ending: Ending): void => {
      clearTimeout(timer);
      resolve({ ending, took: performance.now() - start });
    };
    const timer = setTimeout(() => {
      end('timed out');
      sending.destroy();
    }, patience);
    sending.on('error', () => end('failed'));
    sending.on('response', (response) => {
      response.on('error', () => end('failed'));
      response.on('end', () => end(endingOf(response.statusCode ?? 0, response.headers['x-degraded'] !== undefined)));
      response.resume();
    });
    sending.end();
  });
}

function endingOf(status: number, degraded: boolean): Ending {
  if (status === 200) return degraded ? 'degraded' : 'fresh';
  return status === 429 || status === 503 ? 'refused' : 'failed';
}
