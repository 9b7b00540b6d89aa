import { expect, test } from 'vitest';
import { pipeline } from 'breakwater';
import { VirtualClock, seededRandom } from 'breakwater/testing';
import { perKey } from '../../src/policies/per-key.ts';
import { tokenBucket } from '../../src/policies/token-bucket.ts';

// Elsewhere the bound on keys is declared and never applied, or it is a plain LRU, and five thousand made-up keys wash a victim's count away.
test('three minutes of made-up keys: memory stays bounded, the offender stays refused, honest newcomers get in (9.2)', async () => {
  const clock = new VirtualClock();
  const limits = perKey(() => tokenBucket({ rate: 100, per: '1m' }), { max: 2000 });
  const p = pipeline([limits], { clock, random: seededRandom(7) });
  const ask = (key: string): boolean => {
    const answer = p.tryAcquire({ key });
    if (answer.admitted) answer.success();
    return answer.admitted;
  };
  let most = 0;
  let offences = 0;
  let honest = 0;
  for (let second = 0; second < 180; second++) {
    for (let i = 0; i < 200; i++) if (ask('offender')) offences++;
    for (let i = 0; i < 500; i++) ask(`made up ${second} ${i}`);
    if (ask(`honest ${second}`)) honest++;
    most = Math.max(most, limits.size);
    await clock.advance('1s');
  }
  expect(most).toBeLessThanOrEqual(2000);
  expect(limits.snapshot()['shared']).toBeLessThanOrEqual(1024);
  expect(offences).toBeLessThanOrEqual(100 + 3 * 100);
  expect(honest).toBe(180);
});

test('the bound holds from the first key on, with a bound of one too', () => {
  const limits = perKey(() => tokenBucket({ rate: 1, per: '1h' }), { max: 1 });
  const p = pipeline([limits], { clock: new VirtualClock() });
  const admitted = Array.from({ length: 1000 }, (_, i) => p.tryAcquire({ key: `k${i}` }).admitted);
  expect(limits.size).toBe(1);
  expect(admitted.filter(Boolean)).toHaveLength(2); // the first key's own, and one for all the others together
});
