import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { pipeline, retry } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { parsePushback, parseRetryAfter, retryAfterFrom } from '../../src/core/retry-after.ts';
import { writeRateLimit } from '../../src/fields/rate-limit.ts';
import { retryAfterSeconds } from '../../src/http/admission/response.ts';
import { type VectorFile, replay } from './replay.mjs';

interface Input {
  readonly fn: string;
  readonly value: string;
  readonly nowMs: number;
  readonly capMs: number;
  readonly backoffMs: number;
  readonly hintMs: number;
  readonly headroomMs: number;
  readonly retryAfter: string;
  readonly ratelimit: string;
  readonly resetSec: number;
}

/** The wait before the retry of a call that failed with this hint, through the public surface. */
async function waitOf({ backoffMs, hintMs, headroomMs }: Input): Promise<{ delayMs: number | undefined }> {
  const clock = new VirtualClock();
  let delayMs: number | undefined;
  const max = backoffMs + headroomMs;
  const steady = pipeline(
    [retry({ maxAttempts: 2, backoff: { delay: backoffMs, jitter: 'none' }, retryAfter: { max, jitter: 1, onExceed: 'clamp' } })],
    { clock },
  );
  steady.on('retry.scheduled', ({ delay }) => (delayMs = delay));
  const done = steady.execute(() => Promise.reject(Object.assign(new Error('busy'), { retryAfter: hintMs }))).catch(() => undefined);
  await clock.runAll();
  await done;
  return { delayMs };
}

const adapter = {
  async fn(i: Input): Promise<object> {
    switch (i.fn) {
      case 'retryAfter': {
        const afterMs = parseRetryAfter(i.value, i.nowMs);
        return afterMs === undefined ? { invalid: true } : { afterMs };
      }
      case 'retryAfterCapped':
        return { afterMs: Math.min(parseRetryAfter(i.value, i.nowMs) as number, i.capMs) };
      case 'grpcPushback': {
        const ms = parsePushback(i.value);
        return ms === Infinity ? { noRetry: true } : { retryInMs: ms };
      }
      case 'clampHint':
        return await waitOf(i);
      case 'retryAfterVsReset': {
        const quota = { policy: 'default', limit: 1, window: i.resetSec * 1000, remaining: 0, reset: i.resetSec * 1000 };
        expect(writeRateLimit([quota])).toBe(`"default";r=0;t=${i.resetSec}`);
        return { retryAfterSec: retryAfterSeconds(quota.reset) };
      }
      case 'clientWait':
        return { waitMs: retryAfterFrom({ 'Retry-After': i.retryAfter, RateLimit: i.ratelimit }, 0) };
      default:
        throw new Error(`not offered: ${i.fn}`);
    }
  },
};

test('third-party vectors 20: Retry-After', async () => {
  const file = JSON.parse(readFileSync(new URL('20-retry-after.json', import.meta.url), 'utf8')) as VectorFile<Input>;
  const result = await replay(file, adapter, { has: () => true });
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(16);
});

test.each([1, 30, 60, 3600, 86_400, 2_592_000])(
  'a Retry-After never points to before the RateLimit that is sent with it (%i s)',
  async (resetSec) => {
    await expect(adapter.fn({ fn: 'retryAfterVsReset', resetSec } as Input)).resolves.toEqual({ retryAfterSec: resetSec });
  },
);
