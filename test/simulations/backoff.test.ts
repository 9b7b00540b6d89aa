import { describe, expect, test } from 'vitest';
import { type BackoffOptions, pipeline, retry } from 'breakwater';
import { seededRandom } from 'breakwater/testing';
import { Backoff } from '../../src/algorithms/backoff.ts';
import { backoffField } from '../../src/policies/retry/fields.ts';

/** Waits by the policy's own option table. */
const scheduled = (options: BackoffOptions): Backoff => new Backoff(backoffField.read(options, 'backoff', []));

describe('jitter has the mean and the quantiles of its formula, within 2 % (R5)', () => {
  const DRAWS = 40_000;
  const base = 1000;

  /** The delays before the nth retry, sorted, over many calls. */
  function delays(options: BackoffOptions, nth: number, seed: number): Float64Array {
    const random = seededRandom(seed);
    const settings = backoffField.read(options, 'backoff', []);
    const drawn = new Float64Array(DRAWS);
    for (let i = 0; i < DRAWS; i++) {
      const backoff = new Backoff(settings);
      for (let n = 1; n < nth; n++) backoff.next(random());
      drawn[i] = backoff.next(random());
    }
    return drawn.sort();
  }

  const uniform = (from: number, to: number) => ({ mean: (from + to) / 2, quantile: (p: number) => from + p * (to - from) });
  const jitters = [
    ['none', 3, uniform(4 * base, 4 * base)],
    ['full', 3, uniform(0, 4 * base)],
    ['equal', 3, uniform(2 * base, 4 * base)],
    ['proportional', 3, uniform(3 * base, 5 * base)],
    ['decorrelated', 1, uniform(base, 3 * base)],
  ] as const;

  test.each(jitters)('%s', (jitter, nth, { mean, quantile }) => {
    const drawn = delays({ delay: base, jitter }, nth, 5);
    const sum = drawn.reduce((total, each) => total + each, 0);
    expect(Math.abs(sum / DRAWS / mean - 1)).toBeLessThan(0.02);
    for (const p of [0.1, 0.25, 0.5, 0.75, 0.9, 0.99]) {
      const found = drawn[Math.floor(p * DRAWS)] as number;
      expect(Math.abs(found / quantile(p) - 1)).toBeLessThan(0.02);
    }
  });

  test('decorrelated, later on: the mean is half of the base and three times the mean before, and 3 times the one before is the most', () => {
    // E[U(b, 3x)] = (b + 3 E[x]) / 2, so 2, 3.5, 5.75 times the base.
    for (const [nth, mean] of [
      [1, 2],
      [2, 3.5],
      [3, 5.75],
    ] as const) {
      const drawn = delays({ delay: base, jitter: 'decorrelated', maxDelay: '10h' }, nth, 6);
      const sum = drawn.reduce((total, each) => total + each, 0);
      expect(Math.abs(sum / DRAWS / (mean * base) - 1)).toBeLessThan(0.02);
      expect(drawn[0]).toBeGreaterThanOrEqual(base);
      expect(drawn[DRAWS - 1]).toBeLessThan(base * 3 ** nth);
    }
  });

  test('decorrelated-v2: medians, means and 95th percentiles of the first six delays, as sampled from its formula', () => {
    const table = [
      [0.898, 0.872, 1.326],
      [1.138, 1.157, 2.054],
      [2.015, 2.076, 3.654],
      [4.014, 4.135, 7.273],
      [8.0, 8.246, 14.51],
      [15.97, 16.47, 29.05],
    ] as const;
    for (const [i, [median, mean, p95]] of table.entries()) {
      const drawn = delays({ delay: base, jitter: 'decorrelated-v2', maxDelay: '10h' }, i + 1, 7);
      const sum = drawn.reduce((total, each) => total + each, 0);
      const found = [drawn[DRAWS / 2] as number, sum / DRAWS, drawn[0.95 * DRAWS] as number];
      for (const [k, wanted] of [median, mean, p95].entries())
        expect(Math.abs((found[k] as number) / base / wanted - 1)).toBeLessThan(0.02);
    }
  });

  test('a retry waits by that very schedule', async () => {
    const waits: number[] = [];
    const drawn: number[] = [];
    const random = seededRandom(8);
    const chance = (): number => {
      const u = random();
      drawn.push(u);
      return u;
    };
    let now = 0;
    const clock = {
      now: () => now,
      setTimeout: (run: () => void, ms: number) => {
        waits.push(ms);
        queueMicrotask(() => {
          now += ms;
          run();
        });
      },
      clearTimeout: () => undefined,
    };
    const backoff = { delay: base, jitter: 'full' } as const;
    await pipeline([retry({ maxAttempts: 6, backoff, budget: false })], { clock, random: chance })
      .execute(() => Promise.reject(new Error('down')))
      .catch(() => undefined);
    const schedule = scheduled(backoff);
    expect(waits).toEqual(drawn.map((u) => Math.ceil(schedule.next(u) - 1e-3)));
  });
});

/** Events in the order of their times. */
class Agenda {
  #heap: (readonly [time: number, run: (time: number) => void])[] = [];

  add(time: number, run: (time: number) => void): void {
    const heap = this.#heap;
    let i = heap.push([time, run]) - 1;
    for (let up = (i - 1) >> 1; i > 0 && (heap[up] as readonly [number, unknown])[0] > time; i = up, up = (i - 1) >> 1)
      [heap[i], heap[up]] = [heap[up] as never, heap[i] as never];
  }

  run(): number {
    let last = 0;
    for (let next = this.#next(); next !== undefined; next = this.#next()) next[1]((last = next[0]));
    return last;
  }

  #next(): readonly [number, (time: number) => void] | undefined {
    const heap = this.#heap;
    const [first] = heap;
    const end = heap.pop();
    if (heap.length === 0 || end === undefined) return first;
    heap[0] = end;
    for (let i = 0, down = 1; down < heap.length; i = down, down = 2 * i + 1) {
      if (down + 1 < heap.length && (heap[down + 1] as readonly [number, unknown])[0] < (heap[down] as readonly [number, unknown])[0])
        down++;
      if ((heap[down] as readonly [number, unknown])[0] >= (heap[i] as readonly [number, unknown])[0]) break;
      [heap[i], heap[down]] = [heap[down] as never, heap[i] as never];
    }
    return first;
  }
}

/**
 * So many clients each change one row once, by optimistic concurrency: read, write what was read, and after a conflict back off and read again. Each hop takes |N(10, 2)| ms.
 * Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog 2015.
 */
function contend(clients: number, make: () => Backoff | undefined, seed: number): { readonly calls: number; readonly time: number } {
  const random = seededRandom(seed);
  const agenda = new Agenda();
  let version = 0;
  let calls = 0;
  const hop = (): number => Math.abs(10 + 2 * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
  for (let i = 0; i < clients; i++) {
    const backoff = make();
    const read = (from: number): void =>
      agenda.add(from + hop(), (atServer) => {
        const seen = version;
        agenda.add(atServer + hop(), (back) => {
          agenda.add(back + hop(), (written) => {
            calls++;
            const conflict = seen !== version;
            if (!conflict) version++;
            agenda.add(written + hop(), (told) => conflict && read(told + (backoff?.next(random()) ?? 0)));
          });
        });
      });
    read(0);
  }
  const time = agenda.run();
  return { calls, time };
}

describe('clients that contend for one row (Brooker 2015)', () => {
  const kinds = ['no backoff', 'none', 'equal', 'full', 'decorrelated'] as const;
  // The reference counts the first backoff as the second of the growth; the decorrelated one begins with the base.
  const makers: Readonly<Record<(typeof kinds)[number], () => Backoff | undefined>> = {
    'no backoff': () => undefined,
    none: () => scheduled({ delay: 10, maxDelay: 2000, jitter: 'none' }),
    equal: () => scheduled({ delay: 10, maxDelay: 2000, jitter: 'equal' }),
    full: () => scheduled({ delay: 10, maxDelay: 2000, jitter: 'full' }),
    decorrelated: () => scheduled({ delay: 5, maxDelay: 2000, jitter: 'decorrelated' }),
  };
  const table = {
    20: { 'no backoff': [151.6, 600], none: [148.3, 14_068], equal: [107.3, 1605], full: [100.1, 1026], decorrelated: [101.4, 826] },
    100: { 'no backoff': [2421, 2027], none: [1856, 63_615], equal: [812, 6626], full: [796, 4883], decorrelated: [1003, 4608] },
  } as const;

  test.each([
    [20, 150],
    [100, 50],
  ] as const)('%d of them cost the calls (to 3 percent) and the time (to 6 percent) of the reference; %d runs', (clients, runs) => {
    const found = Object.fromEntries(
      kinds.map((kind) => {
        let [calls, time] = [0, 0];
        for (let run = 0; run < runs; run++) {
          const one = contend(clients, makers[kind], 1000 + run);
          calls += one.calls / runs;
          time += one.time / runs;
        }
        return [kind, [calls, time]] as const;
      }),
    ) as Record<(typeof kinds)[number], readonly [number, number]>;
    for (const kind of kinds) {
      const [calls, time] = found[kind];
      const [callsThere, timeThere] = table[clients][kind];
      expect(Math.abs(calls / callsThere - 1), `calls, ${kind}`).toBeLessThan(0.03);
      expect(Math.abs(time / timeThere - 1), `time, ${kind}`).toBeLessThan(0.06);
    }
    if (clients < 50) return;
    const calls = kinds.map((kind) => found[kind][0]);
    expect([...calls].sort((a, b) => b - a)).toEqual([
      found['no backoff'][0],
      found.none[0],
      found.decorrelated[0],
      found.equal[0],
      found.full[0],
    ]);
    expect(found.full[0] / found.none[0]).toBeLessThan(0.5);
    expect(found.full[1]).toBeLessThan(found.equal[1]);
  });
});
