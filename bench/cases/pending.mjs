/** 100 000 calls under a timeout at once, of which none expires. */

import { pipeline, timeout } from 'breakwater';
import * as cockatiel from 'cockatiel';
import pTimeout from 'p-timeout';
import { LIMIT, opossumAround } from '../stacks.mjs';

function plain(work) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('too late')), LIMIT);
    work().then((value) => {
      clearTimeout(timer);
      resolve(value);
    }, reject);
  });
}

function timersInUse() {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
}

async function measure({ make }, n) {
  const releases = [];
  const work = () => new Promise((resolve) => releases.push(resolve));
  const { call, close } = make(work);
  const before = timersInUse();
  const calls = [];
  const start = performance.now();
  for (let i = 0; i < n; i++) calls.push(call());
  await undefined;
  const started = performance.now();
  await new Promise((resolve) => setImmediate(resolve));
  const timers = timersInUse() - before;
  const ran = releases.length;
  const releasing = performance.now();
  for (const release of releases) release(1);
  const answers = await Promise.all(calls);
  const settled = performance.now();
  const left = timersInUse() - before;
  close?.();
  const answered = answers.filter((answer) => answer === 1).length;
  return {
    start: ((started - start) * 1e6) / n,
    settle: ((settled - releasing) * 1e6) / n,
    total: ((started - start + settled - releasing) * 1e6) / n,
    timers,
    left,
    ran,
    answered,
  };
}

export const pending = {
  id: 'pending',
  title: '100 000 pending timeouts',
  size: 100_000,
  columns: [
    { key: 'start', title: 'start, ns a call' },
    { key: 'settle', title: 'settle, ns a call' },
    { key: 'total', title: 'both, ns a call', ratio: true },
    { key: 'timers', title: 'timers in use' },
    { key: 'left', title: 'timers left after' },
  ],
  measure,
  expected({ ran, answered, left }, n, name) {
    if (ran !== n || answered !== n || left !== 0)
      throw new Error(`${name}: of ${n} calls, ${ran} ran, ${answered} answered, ${left} timers left`);
  },
  contestants: [
    {
      name: 'breakwater timeout',
      make: (work) => {
        const guarded = pipeline([timeout({ after: LIMIT })]);
        return { call: () => guarded.execute(work) };
      },
    },
    { name: 'setTimeout and clearTimeout by hand', make: (work) => ({ call: () => plain(work) }) },
    { name: 'p-timeout', make: (work) => ({ call: () => pTimeout(work(), { milliseconds: LIMIT }) }) },
    {
      name: 'cockatiel timeout (aggressive; a tenth of the calls)',
      share: 0.1,
      make: (work) => {
        const guarded = cockatiel.timeout(LIMIT, cockatiel.TimeoutStrategy.Aggressive);
        return { call: () => guarded.execute(work) };
      },
    },
    {
      name: 'opossum with timeout',
      make: (work) => {
        const breaker = opossumAround(work, { timeout: LIMIT });
        return { call: () => breaker.fire(), close: () => breaker.shutdown() };
      },
    },
  ],
};
