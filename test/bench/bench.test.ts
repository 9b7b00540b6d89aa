import { describe, expect, it } from 'vitest';
import { type Case, runCases } from '../../bench/bench.mjs';
import { measuredCases, timedCases } from '../../bench/cases.mjs';
import { median, ratio, show } from '../../bench/figures.mjs';

/** These run in processes of their own, on the built package. */
const apart = /^(neighbours|served-.*)$/;

describe('the benchmark', () => {
  const all = [...timedCases, ...measuredCases].filter(({ id }) => !apart.test(id));

  it.each(all)('$id: every contestant does what the case says', async ({ id, title, contestants }) => {
    const { results, sections } = await runCases((each) => each.id === id, 'tiny');
    for (const { name } of contestants) {
      const figures = results.get(id)?.get(name) ?? {};
      const samples = Array.isArray(figures) ? (figures as number[]) : Object.values(figures).flat();
      expect(samples.length, name).toBeGreaterThan(0);
      expect(samples.every(Number.isFinite), name).toBe(true);
      expect(sections[0]?.text, name).toContain(`| ${name} `);
    }
    expect(sections.map((section) => section.title)).toEqual([title]);
  });

  it('has no two cases of one id', () => {
    const ids = [...timedCases, ...measuredCases].map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });
});

describe('the checks of the benchmark', () => {
  const run = (kind: string, contestant: object): Promise<unknown> => {
    const timed = [{ id: 'made-up', title: 'Made up', kind, contestants: [{ name: 'somebody', ...contestant }] }] as unknown as Case[];
    return runCases(() => true, 'tiny', undefined, { timed, measured: [] });
  };

  it('find out who answers without running the work', async () => {
    await expect(run('sequential', { make: () => ({ call: () => Promise.resolve(1) }) })).rejects.toThrow(/somebody: of 2 calls.* 0\/2\/0/);
  });

  it('find out who runs the work and loses its answer', async () => {
    const make = (work: () => Promise<number>): object => ({ call: () => work().then(() => undefined) });
    await expect(run('sequential', { make })).rejects.toThrow(/2\/0\/0, expected 2\/2\/0/);
  });

  it('find out who runs the work of a call it refuses', async () => {
    const make = (work: () => Promise<number>): object => ({ call: () => work().then(() => Promise.reject(new Error('open'))) });
    await expect(run('refused', { refusal: /open/, make })).rejects.toThrow(/2\/0\/2, expected 0\/0\/2|1\/0\/2/);
  });

  it('find out who refuses for another reason', async () => {
    const make = (): object => ({ call: () => Promise.reject(new Error('broken')) });
    await expect(run('refused', { refusal: /open/, make })).rejects.toThrow(/expected a refusal like .*open.*, got Error: broken/);
  });
});

describe('the figures of the benchmark', () => {
  it('are ratios of rounds, so that a slow spell of the machine does not count', () => {
    expect(ratio([2, 20, 200], [1, 10, 100])).toBe(2);
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(median([3, 1, 2])).toBe(2);
  });

  it('are shown with three digits that count', () => {
    expect([0.1234, 12.34, 1234.5, 1_234_567].map(show)).toEqual(['0.12', '12.3', '1 235', '1 234 567']);
  });
});
