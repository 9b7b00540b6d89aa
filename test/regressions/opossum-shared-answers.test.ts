import CircuitBreaker from 'opossum';
import { describe, expect, test } from 'vitest';
import { RejectedError, definePolicy, pipeline, refuse } from 'breakwater';
import { opossumBreaker } from 'breakwater/opossum';
import { hop } from '../../src/testing/hop.ts';

/** Work that ends when told to. */
function held<T>(): { readonly work: () => Promise<T>; readonly runs: () => number; readonly end: (value: T) => void } {
  const ends: ((value: T) => void)[] = [];
  return {
    work: () => new Promise<T>((resolve) => ends.push(resolve)),
    runs: () => ends.length,
    end: (value) => ends.forEach((end) => end(value)),
  };
}

const key = 'stock';

describe('an answer that calls share', () => {
  test('is found by one after the other where those who go ahead give up', async () => {
    // Only the first in line went ahead. For all behind it the one who gave up was still the answer, and they failed with nothing.
    const shop = pipeline([opossumBreaker({ coalesce: true, timeout: false })]);
    const [first, second] = [new AbortController(), new AbortController()];
    const work = held<string>();
    const call = (signal?: AbortSignal): Promise<unknown> => shop.executeOutcome(work.work, { key, ...(signal && { signal }) });
    const calls = [call(first.signal), call(second.signal), call(), call(), call()];
    await hop();
    first.abort('gone');
    await hop();
    second.abort('gone too');
    await hop();
    work.end('in stock');
    const answered = { ok: true, value: 'in stock' };
    expect(await Promise.all(calls)).toEqual([
      { ok: false, error: 'gone' },
      { ok: false, error: 'gone too' },
      answered,
      answered,
      answered,
    ]);
  });

  test('is covered by the fallback also for the one who goes ahead in place of another', async () => {
    const breaker = new CircuitBreaker(async () => undefined, {
      coalesce: true,
      timeout: false,
      volumeThreshold: 9,
      cacheGetKey: (call: { key: string }) => call.key,
    });
    breaker.fallback(() => 'lesser');
    const shop = pipeline([opossumBreaker(breaker)]);
    const leader = new AbortController();
    const gone = shop.executeOutcome(() => new Promise(() => undefined), { key, signal: leader.signal });
    const next = shop.executeOutcome(() => Promise.reject(new Error('down')), { key });
    await hop();
    leader.abort('gone');
    expect([await gone, await next]).toEqual([
      { ok: false, error: 'gone' },
      { ok: true, value: 'lesser', degraded: true },
    ]);
  });

  test('is not that of a caller in another pipeline who gave up, or was turned away further in', async () => {
    const breaker = opossumBreaker({ coalesce: true, timeout: false });
    const full = definePolicy({
      kind: 'full',
      gate: { enter: () => Promise.resolve(refuse(new RejectedError('full'))), settle() {}, cancel() {} },
    });
    const [one, other, turningAway] = [pipeline([breaker]), pipeline([breaker]), pipeline([breaker, full])];
    const leader = new AbortController();
    const gone = one.executeOutcome(() => new Promise(() => undefined), { key, signal: leader.signal });
    const follower = other.executeOutcome(() => 'fine', { key });
    await hop();
    leader.abort('gave up');
    expect([await gone, await follower]).toEqual([
      { ok: false, error: 'gave up' },
      { ok: true, value: 'fine' },
    ]);
    const refused = turningAway.executeOutcome(() => 1, { key: 'other' });
    const after = other.executeOutcome(() => 'fine', { key: 'other' });
    expect([(await refused).ok, await after]).toEqual([false, { ok: true, value: 'fine' }]);
  });

  test('is not the lack of time of the one who went ahead', async () => {
    const shop = pipeline([opossumBreaker({ coalesce: true, timeout: false })]);
    const leader = shop.executeOutcome(() => new Promise(() => undefined), { key, deadline: 5 });
    const follower = shop.executeOutcome(() => 'in time', { key });
    expect([await leader, await follower]).toMatchObject([
      { ok: false, error: { code: 'ERR_TIMEOUT' } },
      { ok: true, value: 'in time' },
    ]);
  });

  test('says that it is a lesser one to all who get it, in whatever pipeline', async () => {
    const breaker = new CircuitBreaker(async () => undefined, {
      coalesce: true,
      capacity: 1,
      timeout: false,
      volumeThreshold: 9,
      cacheGetKey: (call: { key: string }) => call.key,
    });
    breaker.fallback(() => 'lesser');
    const policy = opossumBreaker(breaker);
    const [one, other] = [pipeline([policy]), pipeline([policy])];
    const work = held<string>();
    const running = one.executeOutcome(work.work, { key: 'slow' });
    const lesser = { ok: true, value: 'lesser', degraded: true };
    expect([await one.executeOutcome(() => 1, { key }), await other.executeOutcome(() => 1, { key })]).toEqual([lesser, lesser]);
    work.end('done');
    expect(await running).toEqual({ ok: true, value: 'done' });
  });
});

describe('a breaker of a class of their own', () => {
  test('has its own methods called as they are, with secrets', async () => {
    // A view of the breaker was their `this`, and a view has no private fields: the circuit never opened.
    class Counted extends CircuitBreaker {
      #openings = 0;

      get openings(): number {
        return this.#openings;
      }

      override open(): void {
        this.#openings++;
        super.open();
      }

      override call(context: unknown, ...args: never[]): Promise<unknown> {
        this.#openings += 0;
        return super.call(context, ...args);
      }
    }
    const breaker = new Counted(async () => undefined, { timeout: false });
    const opened: unknown[] = [];
    const shop = pipeline([opossumBreaker(breaker)], { on: (event) => event.type === 'opossum.opened' && opened.push(event.key) });
    expect(await shop.executeOutcome(() => Promise.reject(new Error('down')), { key })).toMatchObject({
      ok: false,
      error: { message: 'down' },
    });
    expect([breaker.opened, breaker.openings, opened]).toEqual([true, 1, [key]]);
  });
});

test('a call that was let in while the breaker was disabled is nobody’s probe', async () => {
  const breaker = opossumBreaker({ timeout: false, resetTimeout: 1, volumeThreshold: 1 });
  const shop = pipeline([breaker]);
  breaker.open();
  await new Promise((resolve) => breaker.breaker.once('halfOpen', resolve));
  const caller = new AbortController();
  breaker.disable();
  const past = shop.executeOutcome(() => new Promise(() => undefined), { signal: caller.signal });
  breaker.enable();
  const work = held<string>();
  const probe = shop.executeOutcome(work.work);
  await hop();
  caller.abort('gone');
  await past;
  expect(await shop.executeOutcome(() => 'a second probe')).toMatchObject({ ok: false, error: { code: 'ERR_CIRCUIT_OPEN' } });
  work.end('well');
  expect(await probe).toEqual({ ok: true, value: 'well' });
});
