import { describe, expect, test } from 'vitest';
import { type Call, type Pipeline, type Priority, OptionsError, currentPriority, pipeline } from 'breakwater';
import { VirtualClock, seededRandom } from 'breakwater/testing';
import { drawnRankOf, priorities, rankOf } from '../../src/core/priority.ts';

const start = (track = false): Pipeline => pipeline([], { name: 'p', clock: new VirtualClock(), random: seededRandom(1), track });

describe('ranks', () => {
  test('the classes lie a hundred apart, the one that matters most on top', () => {
    expect(priorities.map((name) => rankOf(name))).toEqual([400, 300, 200, 100, 0]);
    expect(rankOf('best-effort', 99)).toBeLessThan(rankOf('sheddable'));
    expect(rankOf('critical-plus', 99)).toBe(499);
  });
});

describe('the priority of a call', () => {
  test('is critical where nobody says anything', async () => {
    expect(await start().execute(({ priority }) => priority)).toBe('critical');
    expect(currentPriority()).toBeUndefined();
  });

  test('is that of the call in whose work it is made, level included', async () => {
    const [outer, inner] = [start(), start()];
    const seen = await outer.execute(
      (call) => inner.execute((own) => [own.priority, own.rank, call.rank, currentPriority()], { signal: call.signal }),
      { priority: 'sheddable', priorityLevel: 7 },
    );
    expect(seen).toEqual(['sheddable', 107, 107, 'sheddable']);
  });

  test('follows the work through awaits where the pipeline is tracked', async () => {
    const [outer, inner] = [start(true), start()];
    const seen = await outer.execute(
      async () => {
        await Promise.resolve();
        return inner.execute(({ priority }) => [priority, currentPriority()]);
      },
      { priority: 'best-effort' },
    );
    expect(seen).toEqual(['best-effort', 'best-effort']);
  });

  test('that is given wins over the one around it', async () => {
    const [outer, inner] = [start(), start()];
    const seen = await outer.execute(() => inner.execute(({ priority }) => priority, { priority: 'critical-plus' }), {
      priority: 'best-effort',
    });
    expect(seen).toBe('critical-plus');
  });

  test('has a level that is drawn once, for the call and all that derive from it', async () => {
    const calls: Call[] = [];
    const p = start();
    await p.execute((call) => void calls.push(call, call.derive()));
    const [first, second] = calls as [Call, Call];
    expect(second.priorityLevel).toBe(first.priorityLevel);
    expect([first.rank, drawnRankOf(first)]).toEqual([350, 300 + first.priorityLevel]);
    const levels: number[] = [];
    for (let i = 0; i < 200; i++) await p.execute(({ priorityLevel }) => void levels.push(priorityLevel));
    expect(new Set(levels).size).toBeGreaterThan(50);
    expect(levels.every((level) => Number.isInteger(level) && level >= 0 && level < 100)).toBe(true);
  });

  test.each([
    [{ priority: 'urgent' as Priority }, /priority: expected critical-plus, critical, /],
    [{ priority: '__proto__' as Priority }, /priority/],
    [{ priorityLevel: 100 }, /priorityLevel: expected a whole number from 0 to 99/],
    [{ priorityLevel: 1.5 }, /priorityLevel/],
  ])('refuses %j', async (options, message) => {
    const error: unknown = await start()
      .execute(() => undefined, options)
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(OptionsError);
    expect((error as Error).message).toMatch(message);
  });
});
