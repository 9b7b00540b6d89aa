import { expect, test } from 'vitest';
import { bulkhead, circuitBreaker, perKey, pipeline } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

const failing = (): Promise<never> => Promise.reject(new Error('down'));

test('a circuit that is open or isolated is not forgotten by idling, one with nothing to remember is', async () => {
  const clock = new VirtualClock();
  const hosts = perKey(() => circuitBreaker({ consecutiveFailures: 1, openFor: '1h', window: '1m' }), { idle: '10m', max: 10 });
  const guarded = pipeline([hosts], { clock });
  await guarded.execute(failing, { key: 'broken' }).catch(() => undefined);
  await guarded.execute(() => 1, { key: 'switched off' });
  await guarded.execute(() => 1, { key: 'sound' });
  hosts.get('switched off')?.isolate('maintenance');
  await clock.advance('30m');
  for (let i = 0; i < 8; i++) await guarded.execute(() => 1, { key: `other ${i}` });
  expect(hosts.get('broken')?.state).toBe('open');
  expect(hosts.get('switched off')?.state).toBe('isolated');
  expect(hosts.get('sound')).toBeUndefined();
  await expect(guarded.execute(() => 1, { key: 'broken' })).rejects.toMatchObject({ code: 'ERR_CIRCUIT_OPEN' });
});

test('a bulkhead that was resized keeps its limit; one as it was made may go', () => {
  const slots = bulkhead({ maxConcurrent: 2 });
  const atRest = (): boolean => (slots as unknown as { atRest(): boolean }).atRest();
  expect(atRest()).toBe(true);
  slots.resize(1);
  expect(atRest()).toBe(false);
  slots.resize(2);
  const held = pipeline([slots]).tryAcquire();
  expect(atRest()).toBe(false);
  if (held.admitted) held.success();
  expect(atRest()).toBe(true);
});
