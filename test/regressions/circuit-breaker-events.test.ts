/** Listeners that were lost, awaited, or called in the middle of a change. */

import { expect, test, vi } from 'vitest';
import { type PipelineEvent, circuitBreaker, pipeline } from 'breakwater';
import { VirtualClock, arrange, work } from 'breakwater/testing';

const fail = (): Promise<never> => Promise.reject(new Error('down'));

test('a listener sees the new state, not the old one, and may ask for a snapshot (gobreaker)', async () => {
  const breaker = circuitBreaker({ consecutiveFailures: 1, openFor: '1s', halfOpen: { calls: 1 } });
  const seen: string[] = [];
  const clock = new VirtualClock();
  const guarded = pipeline([breaker], { clock, on: ({ type }) => seen.push(`${type} ${breaker.snapshot().state}`) });
  await guarded.executeOutcome(fail);
  clock.jump('1s');
  await guarded.execute(work('ok'));
  expect(seen.filter((line) => line.startsWith('circuit'))).toEqual([
    'circuit-breaker.opened open',
    'circuit-breaker.half-opened half-open',
    'circuit-breaker.closed closed',
  ]);
});

test('a listener that throws holds nothing up, and the next one hears of it all the same (G5; Polly)', async () => {
  const warning = vi.spyOn(process, 'emitWarning').mockImplementation(() => undefined);
  const breaker = circuitBreaker({ consecutiveFailures: 1 });
  const seen: string[] = [];
  const guarded = pipeline([breaker]);
  guarded.on('circuit-breaker.opened', () => expect.fail('listener'));
  guarded.on('circuit-breaker.opened', ({ reason }) => void seen.push(reason));
  expect(await guarded.executeOutcome(fail)).toMatchObject({ ok: false });
  expect([breaker.state, seen]).toEqual(['open', ['consecutive-failures']]);
  expect(warning).toHaveBeenCalledTimes(1);
  warning.mockRestore();
});

test('listeners stay when it is reset (resilience4j 1116)', async () => {
  const { run, policy, events } = arrange(circuitBreaker({ consecutiveFailures: 1 }));
  for (let i = 0; i < 3; i++) {
    await run(fail).catch(() => undefined);
    policy.reset();
  }
  const own = events.filter(({ type }: PipelineEvent) => type.startsWith('circuit-breaker.'));
  expect(own.map(({ type }) => type.split('.')[1])).toEqual(['opened', 'closed', 'opened', 'closed', 'opened', 'closed']);
});

test('a command in a classifier is obeyed, and the result it was asked about is late', async () => {
  const breaker = circuitBreaker({
    isFailure: () => {
      breaker.open();
      return false;
    },
  });
  const { run, events } = arrange(breaker);
  expect(await run(() => 'value')).toBe('value');
  expect(breaker.snapshot()).toMatchObject({ state: 'open', late: 1 });
  expect(events.filter(({ type }) => type.startsWith('circuit')).map(({ type }) => type)).toEqual([
    'circuit-breaker.opened',
    'circuit-breaker.late',
  ]);
});
