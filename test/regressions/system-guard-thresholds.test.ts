import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arrange } from 'breakwater/testing';
import { type SystemGuardOptions, systemGuard } from '../../src/policies/system-guard.ts';
import '../support/properties.ts';

/** Far beyond every threshold but the ones of the calls. */
const monitor = {
  read: () => ({ eventLoopDelay: 1e4, eventLoopUtilization: 1, cpu: 1, heapUsed: 1, memory: 1, rss: 1e12, activeHandles: 1e6 }),
};

const on = {
  eventLoopDelay: 100,
  eventLoopUtilization: 0.9,
  cpu: 0.5,
  heapUsed: 0.8,
  memory: 0.8,
  rss: 1e9,
  activeHandles: 100,
} as const;
const names = Object.keys(on) as (keyof typeof on)[];

async function refuses(options: SystemGuardOptions, ...updates: readonly SystemGuardOptions[]): Promise<boolean> {
  const { run, policy } = arrange(systemGuard({ ...options, bbr: false, monitor }));
  for (const update of updates) policy.update(update);
  return await run(() => false).catch(() => true);
}

const off = Object.fromEntries(names.map((name) => [name, false]));

// Sentinel's SystemRuleManager sets the flag "checks are active" by each rule in turn, so a last rule without a valid threshold switches off those of all before it.
describe('a threshold that is off, wherever it stands, switches off no other', () => {
  test.each(names)('%s is checked, whichever threshold that is off comes last', async (name) => {
    for (const last of names.filter((other) => other !== name)) {
      const others = Object.fromEntries(names.filter((other) => other !== last).map((other) => [other, false]));
      expect(await refuses({ ...others, [name]: on[name], [last]: false })).toBe(true);
      expect(await refuses({ [last]: false, ...others, [name]: on[name] })).toBe(true);
    }
    expect(await refuses(off)).toBe(false);
  });

  test('the order in which thresholds are written changes nothing', async () => {
    const pick = fc
      .shuffledSubarray([...names], { minLength: names.length })
      .chain((order) =>
        fc
          .array(fc.boolean(), { minLength: order.length, maxLength: order.length })
          .map((given) => order.map((name, i) => [name, given[i] === true] as const)),
      );
    await fc.assert(
      fc.asyncProperty(pick, async (entries) => {
        const options = Object.fromEntries(entries.map(([name, given]) => [name, given ? on[name] : false]));
        expect(await refuses(options)).toBe(entries.some(([, given]) => given));
      }),
    );
  });

  test('nor does the order in which they are changed later', async () => {
    const step = fc.record({ name: fc.constantFrom(...names), given: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 15 }), async (steps) => {
        const stands = new Map(steps.map(({ name, given }) => [name, given]));
        const updates = steps.map(({ name, given }) => ({ [name]: given ? on[name] : false }));
        expect(await refuses(off, ...updates)).toBe([...stands.values()].some(Boolean));
      }),
    );
  });
});
