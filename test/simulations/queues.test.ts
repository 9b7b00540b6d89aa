import { describe, expect, test } from 'vitest';
import { type BulkheadOptions, type CallOptions, bulkhead, pipeline } from 'breakwater';
import { VirtualClock, seededRandom } from 'breakwater/testing';

/** So many workers, each busy for so long on average, ms. */
const WORKERS = 10;
const SERVICE = 10;
/** Answers per ms at most. */
const CAPACITY = WORKERS / SERVICE;

/** A caller wants no answer after this time, ms, and tells nobody: the work is done all the same. */
const PATIENCE = 500;

/** When the load is 1.5 times what the workers bear, ms; before and after it is 0.8 times that. */
const OVERLOAD = { from: 3000, to: 13_000 };
const END = 19_000;

interface Answer {
  readonly ok: boolean;
  readonly priority: CallOptions['priority'];
  readonly asked: number;
  readonly took: number;
}

/** The overload of the sixth chapter of "Fail at Scale" and its like: workers of exponential service times, callers who come by chance. */
async function served(options: Omit<BulkheadOptions, 'maxConcurrent'>, callOf: () => CallOptions = () => ({})): Promise<readonly Answer[]> {
  const clock = new VirtualClock();
  const workers = pipeline([bulkhead({ maxConcurrent: WORKERS, maxQueue: 100_000, ...options })], { clock });
  const [arrivals, services] = [seededRandom(11), seededRandom(12)];
  const exponential = (random: () => number, mean: number): number => -mean * Math.log(1 - random());
  const answers: Answer[] = [];
  const come = (): void => {
    const asked = clock.now();
    const service = exponential(services, SERVICE);
    const work = (): Promise<void> => new Promise((resolve) => void clock.setTimeout(resolve, service));
    const call = callOf();
    const { priority } = call;
    void workers.executeOutcome(work, call).then(({ ok }) => answers.push({ ok, priority, asked, took: clock.now() - asked }));
    const load = asked >= OVERLOAD.from && asked < OVERLOAD.to ? 1.5 : 0.8;
    clock.setTimeout(come, exponential(arrivals, 1 / (load * CAPACITY)));
  };
  come();
  await clock.advance(END);
  return answers;
}

/** Answers that were still wanted, as a share of what the workers could give in this time. */
function goodput(answers: readonly Answer[], from: number, to: number): number {
  const good = answers.filter(({ ok, asked, took }) => ok && took <= PATIENCE && asked + took >= from && asked + took < to);
  return good.length / ((to - from) * CAPACITY);
}

function p99(answers: readonly Answer[], from: number, to: number): number {
  const times = answers.filter(({ ok, asked, took }) => ok && took <= PATIENCE && asked >= from && asked < to).map(({ took }) => took);
  return times.sort((a, b) => a - b)[Math.ceil(0.99 * times.length) - 1] as number;
}

/** The load without what the first two seconds of it do: until the queue is as long as callers are patient, any order does. */
const stands = OVERLOAD.from + 2000;

describe('ten workers, at one and a half times the load that they bear', () => {
  test('first come, first served: everybody is served, too late, and for long after the load has gone', async () => {
    const answers = await served({ queue: 'fifo' });
    expect(goodput(answers, 0, OVERLOAD.from)).toBeGreaterThan(0.75);
    expect(goodput(answers, stands, OVERLOAD.to)).toBeLessThan(0.02);
    expect(goodput(answers, OVERLOAD.to, END)).toBeLessThan(0.02);
  });

  test.each<[string, BulkheadOptions['queue']]>([
    ['codel', 'codel'],
    ['adaptive LIFO', 'adaptive-lifo'],
    ['LIFO', 'lifo'],
  ])('%s: the workers are of use all the time, and it is over a second after the load has gone', async (_, queue) => {
    const answers = await served({ queue: queue as 'codel' });
    expect(goodput(answers, 0, OVERLOAD.from)).toBeGreaterThan(0.75);
    expect(goodput(answers, OVERLOAD.from, OVERLOAD.to)).toBeGreaterThan(0.97);
    expect(p99(answers, OVERLOAD.from, OVERLOAD.to)).toBeLessThan(100);
    const after = OVERLOAD.to + 1000;
    expect(goodput(answers, after, END)).toBeGreaterThan(0.75);
    expect(p99(answers, after, END)).toBeLessThan(100);
  });

  test('by rank, in a queue of fifty: what matters is served as if there were no overload, and only the rest is refused', async () => {
    const chance = seededRandom(13);
    const callOf = (): CallOptions => ({ priority: chance() < 0.5 ? 'critical' : 'sheddable' });
    const answers = await served({ maxQueue: 50, priority: true, whenFull: 'evict-lowest' }, callOf);
    const critical = answers.filter(({ priority }) => priority === 'critical');
    const sheddable = answers.filter(({ priority }) => priority === 'sheddable');
    expect(critical.filter(({ ok }) => !ok)).toEqual([]);
    expect(p99(critical, OVERLOAD.from, OVERLOAD.to)).toBeLessThan(100);
    expect(goodput(answers, OVERLOAD.from, OVERLOAD.to)).toBeGreaterThan(0.97);
    expect(goodput(sheddable, OVERLOAD.from, OVERLOAD.to)).toBeGreaterThan(0.15);
  });
});
