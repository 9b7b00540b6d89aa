/** Runs the cases that measure something other than the time of a call: each contestant once per round, in turn. */

import { heapInUse } from './heap.mjs';

/** How often and how large. */
export const measuredPlans = {
  full: { rounds: 3, share: 1 },
  quick: { rounds: 1, share: 0.1 },
  tiny: { rounds: 1, share: 0.0002 },
};

/** @returns per case, by contestant, the figures of each round by their key */
export async function runMeasured(cases, { rounds, share }, say = () => undefined) {
  const results = [];
  for (const { id, title, size, contestants, measure, expected, rounds: own } of cases) {
    const most = Math.min(rounds, own ?? rounds);
    const figures = new Map(contestants.map(({ name }) => [name, {}]));
    for (let round = 0; round < most; round++) {
      say(`${title}, round ${round + 1} of ${most}`);
      for (let i = 0; i < contestants.length; i++) {
        const contestant = contestants[(i + round) % contestants.length];
        const n = Math.max(10, Math.round(size * share * (contestant.share ?? 1)));
        await heapInUse();
        const measured = await measure(contestant, n);
        expected?.(measured, n, `${id}, ${contestant.name}`);
        for (const [key, value] of Object.entries(measured)) (figures.get(contestant.name)[key] ??= []).push(value);
      }
    }
    results.push(figures);
  }
  return results;
}
