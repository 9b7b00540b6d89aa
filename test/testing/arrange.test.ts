import { expect, test } from 'vitest';
import { fallback, retry, timeout } from 'breakwater';
import { VirtualClock, arrange, seededRandom, work } from 'breakwater/testing';

test('one policy, or several, outermost first, come in a pipeline on a clock of its own', async () => {
  const one = arrange(timeout({ after: '1s' }));
  expect(one.policy.pending).toBe(0);
  expect(one.policies).toEqual([one.policy]);
  const two = arrange([fallback({ value: 'late' }), timeout({ after: '1s' })], { name: 'shop' });
  expect(two.policies.map(({ kind }) => kind)).toEqual(['fallback', 'timeout']);
  expect(two.pipeline.name).toBe('shop');
  expect(await two.clock.until(two.run(work('hang')))).toBe('late');
  expect(two.clock.now()).toBe(1000);
});

test('every event is recorded in order', async () => {
  const { run, clock, events } = arrange([retry({ maxAttempts: 2 })], { name: 'shop' });
  await clock.until(run(work('fail', 'ok'), { key: 'k' }));
  expect(events.map(({ type, pipeline, key }) => [type, pipeline, key])).toEqual([
    ['retry.attempt', 'shop', 'k'],
    ['retry.scheduled', 'shop', 'k'],
    ['retry.started', 'shop', 'k'],
    ['retry.attempt', 'shop', 'k'],
    ['pipeline.settled', 'shop', 'k'],
  ]);
});

test('chance comes from a seed, 1 unless told otherwise, or from what is given', async () => {
  const delay = async (options?: Parameters<typeof arrange>[1]): Promise<unknown> => {
    const { run, clock, events } = arrange(retry({ maxAttempts: 2, backoff: { delay: 1000 } }), options);
    await clock.until(run(work('fail', 'ok')));
    return (events.find(({ type }) => type === 'retry.scheduled') as unknown as { delay: number }).delay;
  };
  expect(await delay()).toBe(await delay({ seed: 1 }));
  expect(await delay()).not.toBe(await delay({ seed: 2 }));
  expect(await delay({ random: () => 0.25 })).toBe(250);
  expect(await delay({ random: seededRandom(1) })).toBe(await delay());
});

test('pipelines may share a clock', async () => {
  const clock = new VirtualClock();
  const [a, b] = [arrange([], { clock }), arrange(timeout({ after: 10 }), { clock })];
  expect(a.clock).toBe(b.clock);
  expect(a.policy).toBe(undefined);
  await clock.until(b.run(work('hang')).catch(() => undefined));
  expect(a.clock.now()).toBe(10);
});
