import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type RateLimitShape, partitionKey, quotaName, rateLimitFields } from '../../src/fields/rate-limit-shapes.ts';
import { type AdvertisedQuota, parseRateLimit, parseRateLimitPolicy } from '../../src/fields/rate-limit.ts';
import { writeString } from '../../src/fields/structured-fields.ts';
import { retryAfterSeconds } from '../../src/http/admission/response.ts';
import { type VectorFile, replay } from './replay.mjs';

interface Input {
  readonly fn: string;
  readonly field: string;
  readonly value: string;
  readonly draft: number | 'legacy' | 'retry-after';
  readonly limit: number;
  readonly windowMs: number;
  readonly used: number;
  readonly resetMs: number;
  readonly key?: string;
  readonly name?: string;
  readonly nowMs?: number;
}

/** Names and units of the cases in ours. */
function quotaOf({ limit, windowMs, used, resetMs, key, name }: Input): AdvertisedQuota {
  return {
    policy: name ?? quotaName(limit, windowMs),
    limit,
    window: windowMs,
    remaining: Math.max(0, limit - used),
    reset: resetMs,
    partition: key === undefined ? undefined : partitionKey(key),
  };
}

function parsed(field: string, value: string): object {
  if (field.toLowerCase() === 'ratelimit-policy') {
    const items = parseRateLimitPolicy(value)?.map(({ policy, limit, window, unit, partition }) => ({
      ...{ name: policy, q: limit, qu: unit, pk: partition },
      w: window === undefined ? undefined : window / 1000,
    }));
    return items === undefined ? { ignored: true } : { items };
  }
  const items = parseRateLimit(value)?.map(({ policy, remaining, reset, partition }) => ({
    ...{ name: policy, r: remaining, pk: partition },
    t: reset === undefined ? undefined : reset / 1000,
  }));
  return items === undefined ? { ignored: true } : { items };
}

const adapter = {
  fn(i: Input): object {
    switch (i.fn) {
      case 'parse':
        return parsed(i.field, i.value);
      case 'write':
        if (i.draft === 'retry-after') return { headers: { 'retry-after': String(retryAfterSeconds(i.resetMs)) } };
        return {
          headers: rateLimitFields(i.draft === 'legacy' ? 'legacy' : (`draft-${i.draft}` as RateLimitShape), [quotaOf(i)], i.nowMs ?? 0),
        };
      case 'quoteName':
        return { out: writeString(i.name ?? '') };
      default:
        throw new Error(`not offered: ${i.fn}`);
    }
  },
};

test('third-party vectors 21: RateLimit fields', async () => {
  const file = JSON.parse(readFileSync(new URL('21-ratelimit-headers.json', import.meta.url), 'utf8')) as VectorFile<Input>;
  const result = await replay(file, adapter);
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(file.cases.length);
});
