import { expect } from 'vitest';
import { type GatePolicy, type Pipeline, perKey, pipeline } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

/** A call that is refused gets in at the time it was told, if nobody else comes; a millisecond earlier it does not (L4). Calls until one is refused. */
export async function comesInWhenTold(p: Pipeline, clock: VirtualClock, tags: Readonly<Record<string, unknown>> = {}): Promise<void> {
  let answer = p.tryAcquire({ tags });
  while (answer.admitted) answer = p.tryAcquire({ tags });
  const wait = answer.retryAfter as number;
  if (wait > 1) {
    await clock.advance(wait - 1);
    expect(p.tryAcquire({ tags }).admitted).toBe(false);
  }
  await clock.advance(Math.min(wait, 1));
  expect(p.tryAcquire({ tags }).admitted).toBe(true);
}

/** A call of a key, so long (ms) after the one before. */
export interface KeyedCall {
  readonly key: string;
  readonly ms: number;
}

/** Each key is let in as if it were alone (L5). The first call comes at `start` (ms). */
export async function keepsKeysApart(make: () => GatePolicy, calls: readonly KeyedCall[], start = 0): Promise<void> {
  let at = start;
  const timed = calls.map(({ key, ms }) => ({ key, at: (at += ms) }));
  const together = await answers(make, timed, start);
  for (const [key, alone] of together) {
    const own = timed.filter((call) => call.key === key);
    expect((await answers(make, own, start)).get(key)).toEqual(alone);
  }
}

async function answers(
  make: () => GatePolicy,
  calls: readonly { readonly key: string; readonly at: number }[],
  start: number,
): Promise<Map<string, boolean[]>> {
  const clock = new VirtualClock();
  const p = pipeline([perKey(make)], { clock });
  await clock.advance(start);
  const found = new Map<string, boolean[]>();
  for (const { key, at } of calls) {
    await clock.advance(at - clock.now());
    found.set(key, [...(found.get(key) ?? []), p.tryAcquire({ key }).admitted]);
  }
  return found;
}
