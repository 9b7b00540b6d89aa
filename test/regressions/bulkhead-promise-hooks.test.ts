import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { VirtualClock } from 'breakwater/testing';
import { bulkhead, pipeline } from 'breakwater';

/**
 * A queue used to keep every call in an AsyncLocalStorage. On Node 20 the first use of one turns on promise hooks for the whole process, and a bare await
 * somewhere else took four times as long. Only a wait that nothing bounds is worth that.
 */
describe('a bulkhead with a queue', () => {
  test('whose wait is bounded leaves the promises of the process alone', () => {
    const hooked = (maxWait: string): boolean => {
      const script = `
        import { bulkhead, pipeline } from 'breakwater';
        await pipeline([bulkhead({ maxConcurrent: 1, maxQueue: 1${maxWait} })]).execute(() => 1);
        console.log(Object.getOwnPropertySymbols(Promise.resolve()).length > 0);`;
      return execFileSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' }).trim() === 'true';
    };
    expect(hooked(", maxWait: '1s'")).toBe(false);
    if (Number(process.versions.node.split('.')[0]) < 24) expect(hooked('')).toBe(true);
  });

  test('refuses nested use at once where the first stretch of the work shows it (B7)', async () => {
    const one = pipeline([bulkhead({ maxConcurrent: 1, maxQueue: 1, maxWait: 50 })], { clock: new VirtualClock(), track: false });
    await expect(one.execute(() => one.execute(() => 'inner'))).rejects.toMatchObject({ code: 'ERR_BULKHEAD_FULL' });
  });

  test('ends nested use that comes after an await in the bound it was given (B7)', async () => {
    const clock = new VirtualClock();
    const one = pipeline([bulkhead({ maxConcurrent: 1, maxQueue: 1, maxWait: 50 })], { clock, track: false });
    const nested = one
      .execute(async () => {
        await Promise.resolve();
        return one.execute(() => 'inner');
      })
      .catch((reason: unknown) => reason);
    await clock.advance(50);
    expect(await nested).toMatchObject({ code: 'ERR_QUEUE_TIMEOUT' });
    expect(one.snapshot().policies).toMatchObject([{ active: 0, queued: 0 }]);
    expect(clock.pending).toBe(0);
  });
});
