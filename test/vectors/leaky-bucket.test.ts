import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type Pipeline, type Settled, pipeline } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { leakyBucket } from '../../src/policies/leaky-bucket.ts';
import { perKey } from '../../src/policies/per-key.ts';
import { type VectorFile, replay } from './replay.mjs';

interface Config {
  readonly milliRate: number;
  readonly burst: number;
  readonly delay: number;
  readonly nodelay: boolean;
}

const clocks: VirtualClock[] = [];

/** What came of a call so far: `undefined` while it is held. */
async function soFar(p: Pipeline, clock: VirtualClock): Promise<Settled<unknown> | undefined> {
  let outcome: Settled<unknown> | undefined;
  void p.executeOutcome(() => 'left').then((settled) => (outcome = settled));
  await clock.advance(0);
  return outcome;
}

const adapter = {
  make({ milliRate, burst, delay, nodelay }: Config) {
    const clock = new VirtualClock();
    clocks.push(clock);
    const bucket = leakyBucket({ rate: milliRate / 1000, burst, delay: nodelay ? Infinity : delay, maxQueueTime: Infinity });
    let delayMs = 0;
    const p = pipeline([bucket], { clock });
    p.on('leaky-bucket.delayed', ({ wait }) => (delayMs = wait));
    return {
      async step({ at }: { readonly at: number }) {
        if (at >= clock.now()) await clock.advance(at - clock.now());
        else clock.rewind(clock.now() - at);
        delayMs = 0;
        const excess = bucket.excess * 1000;
        const outcome = await soFar(p, clock);
        return { ok: outcome?.ok !== false, delayMs, excess };
      },
    };
  },
  async fn({ hits }: { readonly fn: 'emptyKey'; readonly hits: number }) {
    const clock = new VirtualClock();
    const p = pipeline([perKey(() => leakyBucket({ rate: 1, burst: 0 }))], { clock });
    const ok: unknown[] = [];
    for (let i = 0; i < hits; i++) ok.push((await soFar(p, clock))?.ok);
    return { ok };
  },
};

test('third-party vectors 05: the leaky bucket of nginx', async () => {
  const file = JSON.parse(readFileSync(new URL('05-leaky-bucket-nginx.json', import.meta.url), 'utf8')) as VectorFile;
  const result = await replay(file, adapter);
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(5);
  for (const clock of clocks) {
    await clock.runAll();
    expect(clock.pending).toBe(0);
  }
});
