/**
 * Run in a process of its own by the case `neighbours`: times a bare await before and after one call through a stack. Some libraries turn on
 * hooks of the runtime (before Node 24: AsyncLocalStorage does), which every promise of the process pays for from then on.
 */

import { freshLoop, freshWork, Tally } from './loops.mjs';
import { cockatielStack, fourPackages, ourStack } from './stacks.mjs';

const stacks = {
  breakwater: (work) => {
    const guarded = ourStack(10);
    return { call: () => guarded.execute(work) };
  },
  cockatiel: (work) => {
    const guarded = cockatielStack(10);
    return { call: () => guarded.execute(work) };
  },
  'four-packages': (work) => fourPackages(10, work),
};

async function bareAwait(n) {
  const tally = new Tally();
  const work = freshWork('immediate', tally);
  const loop = freshLoop('sequential', () => work(), tally);
  let least = Infinity;
  for (let i = 0; i < 20; i++) least = Math.min(least, ((await loop(n)) * 1e6) / n);
  return least;
}

const [which, n] = process.argv.slice(2);
const before = await bareAwait(Number(n));
const { call, close } = stacks[which](async () => 1);
const answered = await call();
const after = await bareAwait(Number(n));
await close?.();
console.log(JSON.stringify({ before, after, answered }));
