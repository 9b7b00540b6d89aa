import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Admission, pipeline } from 'breakwater';
import { VirtualClock, seededRandom } from 'breakwater/testing';
import { perKey } from '../../src/policies/per-key.ts';
import { type TokenBucket, tokenBucket } from '../../src/policies/token-bucket.ts';
import '../support/properties.ts';

const BURST = 3;
const RATE = 0.01; // per ms

/** Something happens to a limit per key. */
type Command =
  | { readonly do: 'take'; readonly key: number }
  | { readonly do: 'hold'; readonly key: number }
  | { readonly do: 'look'; readonly key: number }
  | { readonly do: 'give back'; readonly which: number }
  | { readonly do: 'flood'; readonly keys: number }
  | { readonly do: 'pass'; readonly ms: number };

const key = fc.nat(8);
const commands = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('take' as const), key }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('hold' as const), key }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('give back' as const), which: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('look' as const), key }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('flood' as const), keys: fc.nat(30) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const), ms: fc.oneof(fc.nat(120), fc.nat(600)) }) },
  ),
  { minLength: 10, maxLength: 120 },
);

/** What each key may take, remembered for ever. */
class Model {
  readonly #buckets = new Map<string, { tokens: number; at: number }>();

  /** Tokens of this key. */
  level(id: string, now: number): number {
    const { tokens, at } = this.#buckets.get(id) ?? { tokens: BURST, at: now };
    return Math.min(BURST, tokens + (now - at) * RATE);
  }

  change(id: string, tokens: number, now: number): void {
    this.#buckets.set(id, { tokens: Math.min(BURST, this.level(id, now) + tokens), at: now });
  }
}

/** What happened: how much was admitted that an unbounded memory would have refused, and refused that it would have admitted. */
async function play(list: readonly Command[], make: (key: string) => TokenBucket, max: number, idle: number) {
  const clock = new VirtualClock();
  const limits = perKey(make, { max, idle });
  const p = pipeline([limits], { clock, random: seededRandom(3) });
  const model = new Model();
  const held: { readonly id: string; readonly admission: Admission }[] = [];
  const tally = { tooMany: 0, tooFew: 0, most: 0 };
  let made = 0;
  const take = (id: string): Admission | undefined => {
    const level = model.level(id, clock.now());
    const answer = p.tryAcquire({ key: id });
    tally.most = Math.max(tally.most, limits.size);
    if (answer.admitted && level < 1 - 1e-9) tally.tooMany++;
    if (!answer.admitted && level >= 1 + 1e-9) tally.tooFew++;
    if (!answer.admitted) return undefined;
    model.change(id, -1, clock.now());
    return answer;
  };
  for (const command of list) {
    if (command.do === 'take') take(`k${command.key}`)?.success();
    else if (command.do === 'look') expect(limits.get(`k${command.key}`)?.available ?? 0).toBeLessThanOrEqual(BURST);
    else if (command.do === 'pass') await clock.advance(command.ms);
    else if (command.do === 'flood') for (let i = 0; i < command.keys; i++) take(`made up ${made++}`)?.success();
    else if (command.do === 'hold') {
      const admission = take(`k${command.key}`);
      if (admission !== undefined) held.push({ id: `k${command.key}`, admission });
    } else if (held.length > 0) {
      const [back] = held.splice(command.which % held.length, 1);
      back?.admission.ignore();
      model.change(back?.id as string, 1, clock.now());
    }
  }
  return tally;
}

const options = { rate: RATE, per: 1, burst: BURST, refundOnAbort: true };
const factories: [string, (key: string) => TokenBucket][] = [
  ['states kept', () => tokenBucket(options)],
  ['policies kept', (_key) => tokenBucket(options)],
];

describe.each(factories)('a limit for each of very many keys, %s', (_how, make) => {
  test('whatever comes: nobody gets more than the limit, and there are never more keys than `max` (9.2, L5, L6)', () => {
    const property = fc.asyncProperty(
      commands,
      fc.integer({ min: 1, max: 12 }),
      fc.constantFrom(0, 50, 500, Infinity),
      async (list, max, idle) => {
        const { tooMany, most } = await play(list, make, max, idle);
        expect(tooMany).toBe(0);
        expect(most).toBeLessThanOrEqual(max);
      },
    );
    return fc.assert(property, { numRuns: 150 });
  });

  test('where there is room for all, each gets exactly what the limit allows, however often keys are let go', () => {
    const property = fc.asyncProperty(commands, fc.constantFrom(0, 50, 500), async (list, idle) => {
      expect(await play(list, make, 5000, idle)).toMatchObject({ tooMany: 0, tooFew: 0 });
    });
    return fc.assert(property, { numRuns: 80 });
  });
});
