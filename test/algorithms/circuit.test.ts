import { describe, expect, test } from 'vitest';
import { Circuit } from '../../src/algorithms/circuit.ts';
import type { CircuitSettings } from '../../src/algorithms/circuit-state.ts';
import { openTime } from '../../src/algorithms/openings.ts';
import type { Pass } from '../../src/algorithms/pass.ts';
import { ProbeRound, type ProbeSettings } from '../../src/algorithms/probes.ts';

const probes: ProbeSettings = {
  calls: 3,
  concurrency: 3,
  successRate: 1,
  probeTimeout: 1000,
  maxDuration: Infinity,
  onExpire: 'open',
  decide: 'early',
};
const settings: CircuitSettings = {
  window: { duration: 10_000, buckets: 10 },
  minCalls: 4,
  failureRate: 0.5,
  slowCall: 100,
  slowRate: 0.75,
  slowInFlight: false,
  badRate: Infinity,
  comparison: 'at-least',
  consecutiveFailures: Infinity,
  failures: Infinity,
  tripWhen: undefined,
  tripOnRetryAfter: false,
  maxRetryAfter: 300_000,
  openFor: () => 5000,
  resetAfter: 10_000,
  probes,
  rampUp: undefined,
  warmUp: { duration: 0, calls: 0 },
};

const circuitWith = (others: Partial<CircuitSettings> = {}, now = 0): Circuit => new Circuit({ ...settings, ...others }, now);
const enter = (circuit: Circuit, now: number): Pass => circuit.enter(now) ?? expect.fail(`refused at ${now} while ${circuit.state}`);

/** Whole calls that end at `now`, one for each letter: Success, Failure, Ignored, sLow success, sLow failure (X). */
function run(circuit: Circuit, letters: string, now = 0): void {
  for (const letter of letters) {
    const pass = enter(circuit, 'LX'.includes(letter) ? now - 101 : now);
    circuit.settle(pass, letter === 'I' ? 'ignored' : 'FX'.includes(letter) ? 'failure' : 'success', letter, now);
  }
}

const told = (circuit: Circuit): string[] => circuit.notes.splice(0).map(({ type }) => type);

describe('conditions', () => {
  test.each<[letters: string, others: Partial<CircuitSettings>, state: string, why: string]>([
    ['FFF', {}, 'closed', 'three of three failed, but four are asked for (K5)'],
    ['FFFF', {}, 'open', 'all failed'],
    ['FFSS', {}, 'open', 'half of them, and that is the rate: it trips when reached'],
    ['FSSS', {}, 'closed', 'a quarter'],
    ['FFFS', {}, 'open', 'a success is what makes the fourth call, and shows a rate that was bad before'],
    ['FFFI', {}, 'closed', 'an ignored call is none of the four'],
    ['LLLS', {}, 'open', 'three quarters were slow'],
    ['LLSS', {}, 'closed', 'half were slow, three quarters are asked for'],
    ['XXLS', { failureRate: Infinity }, 'open', 'slow failures are slow too'],
    ['FFFF', { failureRate: Infinity }, 'closed', 'the failure rate is switched off'],
    ['FFSF', { consecutiveFailures: 3, minCalls: 100 }, 'closed', 'never three in a row'],
    ['FIFIF', { consecutiveFailures: 3, minCalls: 100 }, 'open', 'three in a row, with ignored calls between them'],
    ['FFF', { consecutiveFailures: 3, minCalls: 100 }, 'open', 'three in a row do not wait for minCalls'],
  ])('%s with %o leaves it %s: %s', (letters, others, state) => {
    const circuit = circuitWith(others);
    run(circuit, letters);
    expect(circuit.state).toBe(state);
  });

  test('failures in a row outlast the window', () => {
    const circuit = circuitWith({ consecutiveFailures: 3 });
    for (const at of [0, 3_600_000, 7_200_000]) run(circuit, 'F', at);
    expect(circuit.state).toBe('open');
  });

  test('a call exactly as long as slowCall is not slow', () => {
    const circuit = circuitWith();
    circuit.settle(enter(circuit, 0), 'success', undefined, 100);
    expect(circuit.read(100)).toMatchObject({ calls: 1, slow: 0 });
    circuit.settle(enter(circuit, 0), 'success', undefined, 100.5);
    expect(circuit.read(100.5)).toMatchObject({ calls: 2, slow: 1, averageMs: 100.25 });
  });

  test('a clock that went back during a call makes it neither slow nor shorter than nothing', () => {
    const circuit = circuitWith();
    circuit.settle(enter(circuit, 1000), 'success', undefined, 200);
    expect(circuit.read(1000)).toMatchObject({ calls: 1, slow: 0, averageMs: 0 });
  });

  test('rates are told from minCalls on', () => {
    const circuit = circuitWith({ failureRate: 1 });
    run(circuit, 'FSL');
    expect(circuit.read(0)).toMatchObject({ failureRate: undefined, slowRate: undefined });
    run(circuit, 'S');
    expect(circuit.read(0)).toMatchObject({ failureRate: 0.25, slowRate: 0.25 });
  });
});

describe('open', () => {
  test('refuses until its time is over, to the millisecond, and not a bit longer (K2)', () => {
    const circuit = circuitWith();
    run(circuit, 'FFFF', 7);
    for (const now of [7, 5006, 5006.999]) expect(circuit.enter(now)).toBeUndefined();
    expect(circuit.remaining(5006)).toBe(1);
    expect(circuit.enter(5007)).toBeDefined();
    expect(told(circuit)).toEqual(['open', 'half-open']);
  });

  test('counts its refusals since the state began', () => {
    const circuit = circuitWith();
    run(circuit, 'FFFF');
    circuit.enter(1);
    circuit.enter(2);
    expect(circuit.read(2).rejected).toBe(2);
    for (let i = 0; i < 4; i++) circuit.enter(5000);
    expect(circuit.read(5000)).toMatchObject({ state: 'half-open', rejected: 1, probes: { admitted: 3, inFlight: 3 } });
  });

  test('says what it was opened for, with the counts of that moment and the last failure', () => {
    const circuit = circuitWith();
    run(circuit, 'SFFX');
    expect(circuit.notes).toEqual([
      {
        type: 'open',
        fields: { from: 'closed', reason: 'failure-rate', openCount: 1, openFor: 5000, calls: 4, failures: 3, slow: 1, error: 'X' },
      },
    ]);
  });

  test('stays open longer each time, until it stayed closed for long enough', () => {
    const circuit = circuitWith({ openFor: (n) => 1000 * n, probes: { ...probes, calls: 1 } });
    run(circuit, 'FFFF', 0);
    expect(circuit.remaining(0)).toBe(1000);
    run(circuit, 'F', 1000);
    expect(circuit.remaining(1000)).toBe(2000);
    run(circuit, 'S', 3000);
    expect(circuit.state).toBe('closed');
    run(circuit, 'FFFF', 12_999); // closed for 9999 ms: it flaps
    expect(circuit.remaining(12_999)).toBe(3000);
    run(circuit, 'S', 16_000);
    expect(circuit.read(16_000).openCount).toBe(3);
    expect(circuit.read(26_000).openCount).toBe(0);
    run(circuit, 'FFFF', 26_000);
    expect(circuit.read(26_000)).toMatchObject({ remaining: 1000, openCount: 1 });
  });

  test('opened for ever, it says that it has no time left to tell', () => {
    const circuit = circuitWith();
    circuit.open(0, Infinity);
    expect(circuit.enter(Number.MAX_SAFE_INTEGER)).toBeUndefined();
    expect(circuit.read(0).remaining).toBeUndefined();
  });

  test.each([
    ['none', 1, 0.9, 5000],
    ['none', 3, 0.9, 20_000],
    ['none', 7, 0, 300_000],
    ['none', 10_000, 0, 300_000],
    ['equal', 1, 0, 2500],
    ['equal', 2, 0.5, 7500],
    ['full', 2, 0.25, 2500],
  ] as const)('jitter %s, opening %i, chance %f: %i ms', (jitter, n, u, ms) => {
    expect(openTime({ initial: 5000, factor: 2, max: 300_000, jitter, resetAfter: undefined }, n, u)).toBe(ms);
  });
});

describe('stragglers (K3)', () => {
  const open = (): { circuit: Circuit; straggler: Pass } => {
    const circuit = circuitWith();
    const straggler = enter(circuit, 0);
    run(circuit, 'FFFF', 10);
    return { circuit, straggler };
  };

  test.each(['success', 'failure', 'ignored'] as const)(
    'a late %s changes an open circuit by nothing but the count of late ones',
    (verdict) => {
      const { circuit, straggler } = open();
      const before = circuit.read(20);
      expect(circuit.settle(straggler, verdict, 'late', 20)).toBe(false);
      expect(circuit.read(20)).toEqual({ ...before, late: 1 });
      expect(circuit.lastFailure).toBe('F');
    },
  );

  test.each(['success', 'failure', 'ignored'] as const)('a late %s is no probe', (verdict) => {
    const { circuit, straggler } = open();
    expect(circuit.settle(straggler, verdict, 'late', 5010)).toBe(false);
    expect(circuit.read(5010)).toMatchObject({ state: 'half-open', calls: 0, ignored: 0, late: 1, probes: { admitted: 0 } });
  });

  test('a result from before it opened does not count once it has closed again', () => {
    const { circuit, straggler } = open();
    run(circuit, 'SSS', 5010);
    expect(circuit.settle(straggler, 'failure', 'late', 5020)).toBe(false);
    expect(circuit.read(5020)).toMatchObject({ state: 'closed', calls: 0, consecutiveFailures: 0 });
  });

  test('a probe of one round does not count in the next', () => {
    const { circuit } = open();
    const first = enter(circuit, 5010);
    run(circuit, 'F', 5010);
    expect(circuit.read(10_010).state).toBe('half-open');
    expect(circuit.settle(first, 'failure', 'late', 10_010)).toBe(false);
    circuit.release(first, 10_010);
    expect(circuit.read(10_010)).toMatchObject({ state: 'half-open', calls: 0, ignored: 0 });
  });

  test('a second result of one probe is late', () => {
    const { circuit } = open();
    const probe = enter(circuit, 5010);
    expect(circuit.settle(probe, 'success', undefined, 5010)).toBe(true);
    expect(circuit.settle(probe, 'success', undefined, 5010)).toBe(false);
    expect(circuit.read(5010).probes).toMatchObject({ succeeded: 1 });
  });
});

describe('half-open', () => {
  const halfOpen = (others: Partial<ProbeSettings>): Circuit => {
    const circuit = circuitWith({ probes: { ...probes, ...others } });
    circuit.open(0, 1000);
    circuit.advance(1000);
    told(circuit);
    return circuit;
  };

  test.each([
    [3, 1, 'early', 'SS', 'half-open'],
    [3, 1, 'early', 'SSS', 'closed'],
    [3, 1, 'early', 'F', 'open'],
    [3, 1, 'early', 'SX', 'open'],
    [3, 1, 'early', 'L', 'open'],
    [4, 0.5, 'early', 'SS', 'closed'],
    [4, 0.5, 'early', 'FSF', 'half-open'],
    [4, 0.5, 'early', 'FSFF', 'open'],
    [4, 0.5, 'early', 'FFF', 'open'],
    [4, 0.5, 'all', 'SSS', 'half-open'],
    [4, 0.5, 'all', 'FFFI', 'half-open'],
    [4, 0.5, 'all', 'FFSS', 'closed'],
    [4, 0.5, 'all', 'FFFS', 'open'],
    [10, 0.7, 'early', 'SSSSSSS', 'closed'],
    [100, 0.07, 'early', 'SSSSSSS', 'closed'],
    [1, 0.01, 'early', 'S', 'closed'],
  ] as const)('%i calls, success rate %f, decided %s: %s makes it %s', (calls, successRate, decide, letters, state) => {
    const circuit = halfOpen({ calls, concurrency: calls, successRate, decide });
    run(circuit, letters, 1000);
    expect(circuit.state).toBe(state);
  });

  test('lets only so many out at once, and only so many in a round (K1)', () => {
    const circuit = halfOpen({ calls: 3, concurrency: 2, successRate: 0.5, decide: 'all' });
    const first = enter(circuit, 1000);
    enter(circuit, 1000);
    expect(circuit.enter(1000)).toBeUndefined();
    circuit.settle(first, 'success', undefined, 1001);
    enter(circuit, 1001);
    expect(circuit.enter(1001), 'three were admitted, and two of them are still out').toBeUndefined();
  });

  test.each(['ignored', 'released'] as const)('a probe that is %s gives its place back, closes nothing and is no failure (K7)', (how) => {
    const circuit = halfOpen({ calls: 1, concurrency: 1 });
    for (let i = 0; i < 5; i++) {
      const probe = enter(circuit, 1000);
      expect(circuit.enter(1000)).toBeUndefined();
      if (how === 'ignored') circuit.settle(probe, 'ignored', undefined, 1000);
      else circuit.release(probe, 1000);
      expect(circuit.read(1000)).toMatchObject({
        state: 'half-open',
        calls: 0,
        consecutiveFailures: 0,
        ignored: i + 1,
        probes: { inFlight: 0 },
      });
    }
    run(circuit, 'S', 1000);
    expect(circuit.state).toBe('closed');
  });

  test('says once that it starves when only ignored probes come back', () => {
    const circuit = halfOpen({ calls: 1 });
    run(circuit, 'I'.repeat(9), 1000);
    expect(told(circuit)).toEqual([]);
    run(circuit, 'I', 1000);
    expect(circuit.notes).toEqual([{ type: 'starved', fields: { ignored: 10 } }]);
    told(circuit);
    run(circuit, 'I'.repeat(30), 1000);
    expect(told(circuit)).toEqual([]);
  });

  test('a judged probe ends the row of ignored ones', () => {
    const circuit = halfOpen({ calls: 2 });
    run(circuit, 'I'.repeat(19) + 'S' + 'I'.repeat(19), 1000);
    expect(told(circuit)).toEqual([]);
    run(circuit, 'I', 1000);
    expect(told(circuit)).toEqual(['starved']);
  });

  test('a probe whose lease ends counts as failed then, not when somebody looks (K4)', () => {
    const circuit = halfOpen({ calls: 1 });
    const hung = enter(circuit, 1500);
    expect(circuit.read(2499).state).toBe('half-open');
    expect(circuit.read(3000)).toMatchObject({ state: 'open', since: 2500, remaining: 4500 });
    expect(circuit.settle(hung, 'success', undefined, 3001)).toBe(false);
    expect(told(circuit)).toEqual(['probe-expired', 'open']);
  });

  test('a result that comes with the end of the lease is late', () => {
    const circuit = halfOpen({ calls: 2, successRate: 0.5, decide: 'all' });
    const hung = enter(circuit, 1000);
    expect(circuit.settle(hung, 'success', undefined, 2000)).toBe(false);
    expect(circuit.read(2000)).toMatchObject({ state: 'half-open', late: 1, probes: { failed: 1, inFlight: 0 } });
  });

  test('an expired lease may also close it, if enough of the others succeeded', () => {
    const circuit = halfOpen({ calls: 3, successRate: 0.5, decide: 'all' });
    enter(circuit, 1000);
    run(circuit, 'SS', 1000);
    expect(circuit.read(1999).state).toBe('half-open');
    expect(enter(circuit, 5000), 'it has been closed for a while').toBeDefined();
    expect(circuit.read(5000)).toMatchObject({ state: 'closed', since: 2000 });
  });

  test('probes that hang together are told together', () => {
    const circuit = halfOpen({ calls: 3, successRate: 0.3 });
    for (let i = 0; i < 3; i++) enter(circuit, 1000);
    circuit.advance(10_000);
    expect(circuit.notes[0]).toEqual({ type: 'probe-expired', fields: { after: 1000, probes: 3 } });
    expect(circuit.notes[1]).toMatchObject({ type: 'open', fields: { reason: 'probes', failures: 3 } });
  });

  test('a round that is not decided in time opens again, as of that time (K4)', () => {
    const circuit = halfOpen({ maxDuration: 500 });
    expect(circuit.read(1499).state).toBe('half-open');
    expect(circuit.read(6000)).toMatchObject({ state: 'open', since: 1500, openCount: 2, remaining: 500 });
    expect(circuit.read(6500).state).toBe('half-open');
    expect(circuit.notes.map(({ fields }) => (fields as { reason: string }).reason)).toEqual(['half-open-expired', 'elapsed']);
  });

  test('what is due first happens first', () => {
    const lease = halfOpen({ probeTimeout: 400, maxDuration: 500, calls: 1 });
    enter(lease, 1000);
    lease.advance(9999);
    expect(told(lease).slice(0, 2)).toEqual(['probe-expired', 'open']);
    const end = halfOpen({ probeTimeout: 600, maxDuration: 500, calls: 1 });
    enter(end, 1000);
    end.advance(9999);
    expect(told(end)[0]).toBe('open');
    const both = halfOpen({ probeTimeout: 500, maxDuration: 500, calls: 1 });
    enter(both, 1000);
    both.advance(9999);
    expect(told(both).slice(0, 2), 'a lease that ends with the round is told').toEqual(['probe-expired', 'open']);
  });

  test('a lease ends exactly when its time is over', () => {
    const round = new ProbeRound(probes, 0);
    round.enter(1, 0);
    expect([round.inFlight, round.calls, round.decision]).toEqual([1, 0, undefined]);
    expect(round.expire(999)).toBe(0);
    expect(round.expire(1000)).toBe(1);
    expect(round.decision).toBe('open');
  });
});

describe('commands', () => {
  test('an isolation is left only by releasing every token, and the state that stood before stands again (K8)', () => {
    const circuit = circuitWith();
    run(circuit, 'FF');
    const [first, second] = [{}, {}];
    circuit.isolate(first, 'deploy', 0);
    circuit.isolate(second, undefined, 1);
    expect(circuit.isolations.reason).toBe('deploy');
    expect(circuit.enter(1_000_000)).toBeUndefined();
    circuit.restore(first, 100);
    circuit.restore(first, 101);
    expect(circuit.state).toBe('isolated');
    circuit.restore(second, 102);
    expect(circuit.read(102)).toMatchObject({ state: 'closed', calls: 2, failures: 2, consecutiveFailures: 2 });
    expect(circuit.notes).toEqual([
      { type: 'isolated', fields: { from: 'closed', reason: 'manual', why: 'deploy' } },
      { type: 'closed', fields: { from: 'isolated', reason: 'resumed' } },
    ]);
  });

  test('calls that were under way when it was isolated count nowhere', () => {
    const circuit = circuitWith();
    const before = enter(circuit, 0);
    const token = {};
    circuit.isolate(token, undefined, 0);
    circuit.restore(token, 1);
    expect(circuit.settle(before, 'failure', 'late', 2)).toBe(false);
  });

  test('an isolated open circuit goes on where it was; its time has run meanwhile', () => {
    const circuit = circuitWith();
    run(circuit, 'FFFF');
    const token = {};
    circuit.isolate(token, undefined, 1000);
    circuit.restore(token, 2000);
    expect(circuit.read(2000)).toMatchObject({ state: 'open', remaining: 3000, openCount: 1 });
    circuit.isolate(token, undefined, 3000);
    circuit.restore(token, 9000);
    expect(told(circuit)).toEqual(['open', 'isolated', 'open', 'isolated', 'open']);
    expect(circuit.enter(9000)).toBeDefined();
  });

  test('an isolated half-open circuit goes on with a round of its own', () => {
    const circuit = circuitWith();
    circuit.open(0, 10);
    const probe = enter(circuit, 10);
    const token = {};
    circuit.isolate(token, undefined, 20);
    circuit.restore(token, 30);
    expect(circuit.settle(probe, 'failure', 'late', 40)).toBe(false);
    expect(circuit.read(40)).toMatchObject({ state: 'half-open', probes: { admitted: 0, inFlight: 0 } });
    run(circuit, 'SSS', 50);
    expect(circuit.state).toBe('closed');
  });

  test('commands given meanwhile show when the isolation ends', () => {
    const circuit = circuitWith();
    const token = {};
    circuit.isolate(token, undefined, 0);
    circuit.open(0, 1000);
    expect(circuit.state).toBe('isolated');
    circuit.restore(token, 500);
    expect(circuit.read(500)).toMatchObject({ state: 'open', remaining: 500 });
    expect(told(circuit)).toEqual(['isolated', 'open']);
  });

  test('reset makes it as new, isolations and openings included', () => {
    const circuit = circuitWith();
    run(circuit, 'FFFF');
    const token = {};
    circuit.isolate(token, undefined, 0);
    circuit.reset(1);
    circuit.restore(token, 2);
    expect(circuit.read(2)).toEqual(new Circuit(settings, 1).read(2));
    expect(circuit.lastFailure).toBeUndefined();
  });

  test('a reset while closed drops what is counted and under way, and is no change of state', () => {
    const circuit = circuitWith();
    run(circuit, 'FFF');
    const under = enter(circuit, 0);
    circuit.reset(1);
    expect(circuit.settle(under, 'failure', 'late', 2)).toBe(false);
    expect(circuit.read(2)).toMatchObject({ state: 'closed', calls: 0 });
    expect(told(circuit)).toEqual([]);
  });

  test.each([
    ['disabled', { state: 'disabled', calls: 0, ignored: 0, consecutiveFailures: 0 }],
    ['metrics-only', { state: 'metrics-only', calls: 6, failures: 6, ignored: 1, failureRate: 1, consecutiveFailures: 6 }],
  ] as const)('%s lets everything pass and never opens', (state, reading) => {
    const circuit = circuitWith({ consecutiveFailures: 2 });
    circuit.put(state, 0);
    run(circuit, 'FFFFFFI', 0);
    expect(circuit.read(0)).toMatchObject(reading);
    circuit.put('closed', 1);
    expect(circuit.read(1)).toMatchObject({ state: 'closed', calls: 0, consecutiveFailures: 0 });
    expect(told(circuit)).toEqual([state, 'closed']);
  });

  test('half-open by hand needs an open circuit', () => {
    const circuit = circuitWith();
    expect(circuit.halfOpen(0)).toBe(false);
    circuit.open(0);
    expect(circuit.halfOpen(1)).toBe(true);
    expect(circuit.halfOpen(1)).toBe(true);
    expect(told(circuit)).toEqual(['open', 'half-open']);
  });

  test('a command that changes nothing tells nothing; a new open time does not count as an opening', () => {
    const circuit = circuitWith();
    circuit.put('closed', 0);
    circuit.open(0);
    circuit.open(1);
    expect(circuit.remaining(1)).toBe(4999);
    circuit.open(1, 50);
    expect(circuit.read(1)).toMatchObject({ remaining: 50, openCount: 1 });
    expect(told(circuit)).toEqual(['open']);
  });

  test('a command inside the function that says how long to stay open wins over the opening', () => {
    const circuit: Circuit = circuitWith({ openFor: () => (circuit.put('disabled', 0), 1) });
    run(circuit, 'FFFF');
    expect(circuit.state).toBe('disabled');
    expect(told(circuit)).toEqual(['disabled']);
  });

  test('all times move when the clock is read from elsewhere', () => {
    const circuit = circuitWith({ probes: { ...probes, maxDuration: 100 } }, 50_000);
    circuit.open(50_000, 1000);
    circuit.shift(-50_000);
    expect(circuit.read(0)).toMatchObject({ since: 0, remaining: 1000 });
    circuit.advance(1000);
    circuit.shift(10);
    expect(circuit.read(1109).state).toBe('half-open');
    expect(circuit.read(1110).state).toBe('open');
  });
});
