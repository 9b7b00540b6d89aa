/** What opossum cannot keep and no law of the contract suite covers: each asserted, so that whoever mends it is told. */

import CircuitBreaker from 'opossum';
import { describe, expect, it, vi } from 'vitest';
import { pipeline } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';
import { opossumBreaker } from 'breakwater/opossum';
import { useProcessTime } from '../support/process-clock.ts';
import { rows } from './opossum-exceptions.ts';

useProcessTime();

const down = (): Promise<never> => Promise.reject(new Error('down'));
const never = (): Promise<never> => new Promise(() => undefined);

interface Held {
  readonly work: () => Promise<string>;
  answer: (value: string) => void;
  fail: (error: unknown) => void;
}

function held(): Held {
  const own: Held = {
    answer: () => undefined,
    fail: () => undefined,
    work: () =>
      new Promise((resolve, reject) => {
        own.answer = resolve;
        own.fail = reject;
      }),
  };
  return own;
}

const broken: Readonly<Record<string, () => Promise<void>>> = {
  'the time is that of the pipeline (law 7)': async () => {
    const clock = new VirtualClock();
    const breaker = opossumBreaker({ timeout: '1s', resetTimeout: '1s' });
    const call = pipeline([breaker], { clock }).executeOutcome(never);
    await clock.advance('1h');
    expect(breaker.snapshot().active).toBe(1);
    await vi.advanceTimersByTimeAsync(1000);
    expect(await call).toMatchObject({ error: { code: 'ERR_TIMEOUT' } });
    await clock.advance('1h');
    expect(breaker.state).toBe('open');
  },
  'work that was left behind holds its slot until it has ended (law 6)': async () => {
    const breaker = opossumBreaker({ capacity: 1, timeout: '1s', volumeThreshold: 9 });
    const users = pipeline([breaker]);
    let running = 0;
    for (let i = 0; i < 3; i++) {
      const call = users.executeOutcome(() => {
        running++;
        return never();
      });
      await vi.advanceTimersByTimeAsync(1000);
      await call;
    }
    expect(running).toBe(3);
  },
  'a straggler from an earlier state is not counted (law 3)': async () => {
    const breaker = opossumBreaker({ resetTimeout: '1s', timeout: false });
    const users = pipeline([breaker]);
    const early = held();
    const call = users.execute(early.work);
    breaker.open();
    await vi.advanceTimersByTimeAsync(1000);
    const probe = users.executeOutcome(never);
    expect(breaker.state).toBe('half-open');
    early.answer('late');
    await call;
    expect(breaker.state).toBe('closed');
    void probe;
  },
  'a failure of an earlier state does not open a circuit that is tried out (law 3)': async () => {
    const breaker = opossumBreaker({ resetTimeout: '1s', timeout: false });
    const users = pipeline([breaker]);
    const early = held();
    const call = users.executeOutcome(early.work);
    breaker.open();
    await vi.advanceTimersByTimeAsync(1000);
    early.fail(new Error('late'));
    await call;
    expect(breaker.state).toBe('open');
  },
  'a probe that hangs does not keep the circuit half-open for ever': async () => {
    const breaker = opossumBreaker({ resetTimeout: '1s', timeout: false });
    const users = pipeline([breaker]);
    breaker.open();
    await vi.advanceTimersByTimeAsync(1000);
    void users.executeOutcome(never);
    await vi.advanceTimersByTimeAsync(86_400_000);
    expect(await users.executeOutcome(() => 1)).toMatchObject({ error: { code: 'ERR_CIRCUIT_OPEN', state: 'half-open' } });
  },
  "a refusal is nobody's failure (law 5)": async () => {
    const breaker = opossumBreaker({ capacity: 1, volumeThreshold: 3 });
    const users = pipeline([breaker]);
    void users.executeOutcome(never);
    for (let i = 0; i < 2; i++) expect(await users.executeOutcome(never)).toMatchObject({ error: { code: 'ERR_BULKHEAD_FULL' } });
    expect(breaker.state).toBe('open');
  },
  'the rate is that of calls that were judged': async () => {
    const breaker = opossumBreaker({ cache: true, volumeThreshold: 20 });
    const users = pipeline([breaker]);
    await users.execute(() => 'kept', { key: 'a' });
    for (let i = 0; i < 90; i++) await users.execute(() => 'never runs', { key: 'a' });
    for (let i = 0; i < 40; i++) await users.executeOutcome(down);
    expect(breaker.snapshot()).toMatchObject({ calls: 131, successes: 1, failures: 40, state: 'closed' });
  },
  'what was saved of an open circuit goes on for as long as was left': async () => {
    const first = opossumBreaker({ resetTimeout: '10s' });
    await vi.advanceTimersByTimeAsync(60_000);
    first.open();
    const { state } = first.breaker.toJSON();
    expect(opossumBreaker({ resetTimeout: '10s', state }).state).toBe('half-open');
  },
  'what was shut down stays so': async () => {
    const yours = new CircuitBreaker(() => 1);
    yours.healthCheck(() => Promise.reject(new Error('sick')), 1000);
    yours.shutdown();
    const policy = opossumBreaker(yours);
    expect(policy.state).toBe('shutdown');
    await vi.advanceTimersByTimeAsync(1000);
    expect(policy.state).not.toBe('shutdown');
  },
  'a coalesced failure is not given to those who come when it is over': async () => {
    const users = pipeline([opossumBreaker({ coalesce: true, volumeThreshold: 9 })]);
    const outcomes: unknown[] = [];
    for (let i = 0; i < 3; i++) outcomes.push(await users.executeOutcome(i === 0 ? down : () => 'up again', { key: 'a' }));
    expect(outcomes).toMatchObject([{ ok: false }, { ok: false }, { ok: false }]);
  },
};

describe('what opossum cannot keep', () => {
  it.each(rows)('$Law: $Why', async ({ Law }) => {
    const assertBroken = broken[Law];
    if (assertBroken === undefined) throw new Error(`nothing asserts that this law is broken: ${Law}`);
    await assertBroken();
  });

  it('is told on the page in full', () => {
    expect(rows.map(({ Law }) => Law)).toEqual(Object.keys(broken));
  });
});
