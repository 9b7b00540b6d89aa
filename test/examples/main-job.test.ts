import { describe, expect, test } from 'vitest';
import { promisedLoad } from '../../examples/main-job/gateways.ts';
import { Screen } from '../../examples/main-job/screen.ts';
import { type PhaseResult, type Progress, type Side, phases, runScenario } from '../../examples/main-job/scenario.ts';

/** The scenario of `npm start`, a quarter as long. What is asserted holds on a machine that is busy with other things as well. */
describe('the main job', () => {
  const progress: Progress[] = [];
  let sides: { readonly bare: Side; readonly guarded: Side } | undefined;

  test('runs to its end', { timeout: 40_000 }, async () => {
    sides = await runScenario({ scale: 0.25, patience: 2000, rate: 40, seed: 42, progress: (each) => progress.push(each) });
    expect(progress.at(-1)?.phase).toBe(phases.length);
    expect(progress.length).toBeGreaterThanOrEqual(8);
  });

  function of(side: 'bare' | 'guarded', phase: string): PhaseResult {
    return (sides as NonNullable<typeof sides>)[side].phases[phases.findIndex(({ name }) => name === phase)] as PhaseResult;
  }

  function all(side: 'bare' | 'guarded', what: (phase: PhaseResult) => number): number {
    return (sides as NonNullable<typeof sides>)[side].phases.reduce((sum, phase) => sum + what(phase), 0);
  }

  test('both gateways get the same users, and every one of them comes to an end', () => {
    expect(all('bare', ({ sent }) => sent)).toBe(all('guarded', ({ sent }) => sent));
    expect(all('bare', ({ sent }) => sent)).toBeGreaterThan(200);
    expect([sides?.bare.waiting, sides?.guarded.waiting]).toEqual([0, 0]);
  });

  test('while the service is healthy the guard stands in nobody’s way', () => {
    expect(of('guarded', 'healthy').answered).toBeGreaterThan(0.95);
  });

  test('when it fails or hangs, users of the guarded gateway still get an answer, and soon', () => {
    expect(of('bare', 'failing').answered).toBeLessThan(0.4);
    expect(of('guarded', 'failing').answered).toBeGreaterThan(0.6);
    expect(of('bare', 'hanging').prompt).toBeLessThan(0.3);
    expect(of('guarded', 'hanging').prompt).toBeGreaterThan(0.6);
    expect(of('guarded', 'hanging').p50).toBeLessThan(of('bare', 'hanging').p50 / 4);
  });

  test('nobody sees an error: who gets no answer is told when to come back', () => {
    const failed = ({ endings }: PhaseResult): number => endings.failed + endings['timed out'];
    expect(all('guarded', failed)).toBeLessThanOrEqual(all('guarded', ({ sent }) => sent) * 0.02);
    expect(all('bare', failed)).toBeGreaterThan(all('bare', ({ sent }) => sent) * 0.2);
  });

  test('the service never has more on its hands than the bulkhead lets through, and piles up work behind the bare gateway', () => {
    const peak = (side: 'bare' | 'guarded'): number => Math.max(...phases.map(({ name }) => of(side, name).peak));
    expect(peak('guarded')).toBeLessThanOrEqual(promisedLoad);
    expect(peak('bare')).toBeGreaterThan(3 * promisedLoad);
    expect(of('guarded', 'failing').reached).toBeLessThan(of('bare', 'failing').reached);
  });

  test('when it is back, so is the guarded gateway', () => {
    expect(of('guarded', 'recovering').endings.fresh).toBeGreaterThan(0);
    expect(sides?.guarded.p99).toBeLessThan(sides?.bare.p99 ?? 0);
  });

  test('tells of itself in lines and tables', () => {
    const { bare, guarded } = sides as NonNullable<typeof sides>;
    const plain = new Screen(false);
    const summary = plain.summary(bare, guarded);
    expect(summary).toMatch(/recovering +\d+ %/);
    expect(summary).toMatch(/at most 12 at the service +broken +kept/);
    for (const each of progress) {
      expect(plain.line(each)).not.toContain('\n');
      expect(plain.table(each).split('\n')).toHaveLength(13);
      expect(
        Math.max(
          ...plain
            .table(each)
            .split('\n')
            .map((line) => line.length),
        ),
      ).toBeLessThanOrEqual(80);
    }
    expect(summary).not.toContain('\x1b');
  });
});
