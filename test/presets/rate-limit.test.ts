import { describe, expect, test } from 'vitest';
import { OptionsError, type Pipeline, pipeline, presets } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

describe('the rate limit in the words of express-rate-limit', () => {
  const letIn = async (p: Pipeline, key: string, statuses: readonly unknown[]): Promise<boolean[]> => {
    const answers: boolean[] = [];
    for (const status of statuses) answers.push((await p.executeOutcome(() => status, { key })).ok);
    return answers;
  };

  test('lets five requests of each key pass in a minute, if nobody says otherwise', async () => {
    const clock = new VirtualClock();
    const p = pipeline(presets.rateLimit(), { clock });
    expect(await letIn(p, 'ada', [1, 2, 3, 4, 5, 6])).toEqual([true, true, true, true, true, false]);
    expect(await letIn(p, 'bob', [1])).toEqual([true]);
    expect(p.quotas({ key: 'ada' })).toEqual([{ policy: 'rate-limit', limit: 5, window: 60_000, remaining: 0, reset: 60_000 }]);
    await clock.advance('1m');
    expect(await letIn(p, 'ada', [1])).toEqual([true]);
    expect(p.lint()).toEqual([]);
  });

  test('takes max and windowMs for limit and window, and not both', () => {
    const p = pipeline(presets.rateLimit({ max: 2, windowMs: 900_000, name: 'logins' }));
    expect(p.quotas({ key: 'ada' })[0]).toMatchObject({ policy: 'logins', limit: 2, window: 900_000 });
    expect(() => presets.rateLimit({ max: 2, limit: 2 })).toThrow(OptionsError);
    expect(() => presets.rateLimit({ window: '1m', windowMs: 60_000 })).toThrow(
      'presets.rateLimit.windowMs: expected either window or windowMs',
    );
    expect(() => presets.rateLimit({ windowms: 1 } as never)).toThrow('did you mean windowMs?');
  });

  test('counts only those that went well, if failed ones are skipped: errors, and statuses from 400 on', async () => {
    const p = pipeline(presets.rateLimit({ limit: 2, skipFailedRequests: true }));
    const failed = [400, 404, 503, { status: 429 }, { statusCode: 500 }];
    expect(await letIn(p, 'ada', [...failed, ...failed, 200, 304, 200])).toEqual([
      ...[...failed, ...failed].map(() => true),
      true,
      true,
      false,
    ]);
    const error = Object.assign(new Error('down'), { status: 500 });
    for (let i = 0; i < 5; i++) await expect(p.execute(() => Promise.reject(error), { key: 'bob' })).rejects.toBe(error);
    expect(p.quotas({ key: 'bob' })[0]?.remaining).toBe(2);
  });

  test('counts only failed ones, if the others are skipped', async () => {
    const p = pipeline(presets.rateLimit({ limit: 2, skipSuccessfulRequests: true }));
    expect(await letIn(p, 'ada', [200, 200, 200, 302, 'page', undefined, 401, 401, 200])).toEqual([...Array<boolean>(8).fill(true), false]);
  });

  test('keeps so many keys apart and no more', async () => {
    const [keyed] = presets.rateLimit({ maxKeys: 2, mode: 'shadow' });
    const p = pipeline([keyed]);
    for (const key of ['a', 'b', 'c']) await letIn(p, key, [1]);
    expect([keyed.size, keyed.mode]).toEqual([2, 'shadow']);
  });
});
