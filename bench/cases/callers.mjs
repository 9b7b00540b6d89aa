/** 100 callers at once, work that takes a real turn of the event loop: throughput. */

import { bulkhead, pipeline } from 'breakwater';
import Bottleneck from 'bottleneck';
import * as cockatiel from 'cockatiel';
import pLimit from 'p-limit';
import PQueue from 'p-queue';
import { cockatielStack, fourPackages, ourStack } from '../stacks.mjs';

function six(slots) {
  return {
    name: 'breakwater six policies',
    make: (work) => {
      const guarded = ourStack(slots);
      return { call: () => guarded.execute(work) };
    },
  };
}

function five(slots) {
  return {
    name: 'cockatiel five policies',
    make: (work) => {
      const guarded = cockatielStack(slots);
      return { call: () => guarded.execute(work) };
    },
  };
}

function four(slots) {
  return { name: 'opossum(p-retry(p-timeout(bottleneck)))', make: (work) => fourPackages(slots, work) };
}

export const callers = [
  {
    id: 'callers',
    title: '100 callers, 100 slots, work of one turn of the event loop',
    kind: 'callers',
    work: 'turn',
    throughput: true,
    contestants: [six(100), { name: 'bare await', make: (work) => ({ call: () => work() }) }, five(100), four(100)],
  },
  {
    id: 'ten-slots',
    title: '100 callers, 10 slots, work of one turn of the event loop',
    kind: 'callers',
    work: 'turn',
    throughput: true,
    contestants: [
      six(10),
      {
        name: 'breakwater bulkhead',
        make: (work) => {
          const guarded = pipeline([bulkhead({ maxConcurrent: 10, maxQueue: 1000, maxWait: '1m' })]);
          return { call: () => guarded.execute(work) };
        },
      },
      {
        name: 'p-limit',
        make: (work) => {
          const limit = pLimit(10);
          return { call: () => limit(work) };
        },
      },
      {
        name: 'p-queue',
        make: (work) => {
          const queue = new PQueue({ concurrency: 10 });
          return { call: () => queue.add(work) };
        },
      },
      {
        name: 'cockatiel bulkhead',
        make: (work) => {
          const guarded = cockatiel.bulkhead(10, 1000);
          return { call: () => guarded.execute(work) };
        },
      },
      {
        name: 'bottleneck',
        make: (work) => {
          const limiter = new Bottleneck({ maxConcurrent: 10 });
          return { call: () => limiter.schedule(work), close: () => limiter.disconnect() };
        },
      },
      five(10),
      four(10),
    ],
  },
];
