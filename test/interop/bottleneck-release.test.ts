import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import Bottleneck from 'bottleneck';
import { pipeline } from 'breakwater';
import { bottleneckLimiter } from 'breakwater/bottleneck';
import { describe, expect, test } from 'vitest';
import { hop } from '../../src/testing/hop.ts';

const refilled = { reservoir: 1, reservoirRefreshInterval: 60_000, reservoirRefreshAmount: 1 };

/** The state of a limiter: what the timer that fills its reservoir holds on to. */
function storeOf(limiter: unknown): object {
  return (limiter as { readonly _store: object })._store;
}

/** Collects what nobody holds, until this is gone or there have been chances enough. */
async function collect(until: WeakRef<object>): Promise<void> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  for (let i = 0; i < 50 && until.deref() !== undefined; i++) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    await hop();
    gc();
  }
}

/** Uses limiters, of which nothing is kept but what `keep` answers with. */
async function used(make: () => [policy: ReturnType<typeof bottleneckLimiter>, state: object]): Promise<WeakRef<object>> {
  const [policy, state] = make();
  await pipeline([policy]).execute(() => 1);
  return new WeakRef(state);
}

describe('a limiter that was made of options', () => {
  test('is let go with its policy; by itself, bottleneck keeps each that has a reservoir for good', async () => {
    const original = Reflect.get(Bottleneck.prototype, 'schedule') as (...args: unknown[]) => Promise<unknown>;
    const states: WeakRef<object>[] = [];
    const noted = function (this: Bottleneck, ...args: unknown[]): Promise<unknown> {
      states.push(new WeakRef(storeOf(this)));
      return original.apply(this, args);
    };
    Reflect.set(Bottleneck.prototype, 'schedule', noted);
    try {
      await used(() => [bottleneckLimiter(refilled), {}]);
    } finally {
      Reflect.set(Bottleneck.prototype, 'schedule', original);
    }
    const [held] = states as [WeakRef<object>];
    const bare = new WeakRef(storeOf(new Bottleneck(refilled)));
    await collect(held);
    expect([held.deref() === undefined, bare.deref() === undefined]).toEqual([true, false]);
  });

  test('stays as long as somebody may have it without its policy', async () => {
    const held = await used(() => {
      const policy = bottleneckLimiter(refilled);
      return [policy, storeOf(policy.limiter)];
    });
    await collect(held);
    expect(held.deref()).toBeDefined();
  });
});
