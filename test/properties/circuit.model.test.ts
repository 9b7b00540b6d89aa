import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Admission, pipeline } from 'breakwater';
import { VirtualClock, seededRandom } from 'breakwater/testing';
import { Circuit } from '../../src/algorithms/circuit.ts';
import type { Pass } from '../../src/algorithms/probes.ts';
import { circuitBreaker } from '../../src/policies/circuit-breaker.ts';

interface Setup {
  readonly window: { readonly calls: number } | { readonly duration: number; readonly buckets: number };
  readonly minCalls: number;
  readonly failureRate: number;
  readonly slowCall: number;
  readonly slowRate: number;
  readonly consecutiveFailures: number;
  readonly openMs: number;
  readonly resetAfter: number;
  readonly probes: {
    calls: number;
    concurrency: number;
    successRate: number;
    probeTimeout: number;
    maxDuration: number;
    decide: 'early' | 'all';
  };
}

type Verdict = 'success' | 'failure' | 'ignored';
const commands = ['open', 'open for', 'half-open', 'close', 'disable', 'metrics-only', 'enable', 'reset', 'isolate', 'restore'] as const;
type Command = (typeof commands)[number];

/** What a circuit breaker is meant to do, in plain words: lists that are counted anew each time, no sums, no rings, no shortcuts. */
class Model {
  now = 0;
  state = 'closed';
  beneath = 'closed';
  isolations = 0;
  events: string[] = [];
  log: { at: number; what: Verdict; slow: boolean }[] = [];
  row = { failures: 0, successes: 0 };
  opens = 0;
  until = 0;
  closedAt = 0;
  rejected = 0;
  late = 0;
  round: { until: number; ignored: number; probes: { due: number; is: 'out' | 'good' | 'bad' | 'gone' }[] } = {
    until: 0,
    ignored: 0,
    probes: [],
  };
  calls: { at: number; states: number; probe: number; over: boolean }[] = [];
  states = 0;

  readonly s: Setup;

  constructor(setup: Setup) {
    this.s = setup;
  }

  pass(ms: number): void {
    this.now += ms;
  }

  catchUp(): void {
    while (this.state === 'half-open') {
      const dues = this.round.probes.filter(({ is }) => is === 'out').map(({ due }) => due);
      const next = Math.min(...dues, this.round.until);
      if (next > this.now) break;
      const expired = this.round.probes.filter(({ is, due }) => is === 'out' && due === next);
      for (const probe of expired) probe.is = 'bad';
      if (expired.length > 0) this.events.push('probe-expired');
      if (expired.length > 0) this.decide(next);
      else this.trip(next);
    }
    if (this.state === 'open' && this.now >= this.until) this.become('half-open', this.now);
  }

  enter(): boolean {
    this.catchUp();
    const places = this.round.probes.filter(({ is }) => is !== 'gone');
    const out = places.filter(({ is }) => is === 'out').length;
    const room = places.length < this.s.probes.calls && out < this.s.probes.concurrency;
    const admitted = this.state === 'half-open' ? room : this.state !== 'open' && this.state !== 'isolated';
    if (!admitted) this.rejected++;
    else {
      const probe = this.state === 'half-open' ? this.round.probes.push({ due: this.now + this.s.probes.probeTimeout, is: 'out' }) - 1 : -1;
      this.calls.push({ at: this.now, states: this.states, probe, over: false });
    }
    return admitted;
  }

  settle(i: number, what: Verdict | 'cancelled'): void {
    this.catchUp();
    const call = this.calls[i];
    if (call === undefined || call.over) return;
    call.over = true;
    const probe = this.round.probes[call.probe];
    if (call.states !== this.states || (call.probe >= 0 && probe?.is !== 'out')) {
      if (what !== 'cancelled') this.late++;
      return;
    }
    if (probe !== undefined && call.probe >= 0 && (what === 'ignored' || what === 'cancelled')) {
      probe.is = 'gone';
      this.round.ignored++;
    }
    if (what === 'cancelled' || this.state === 'disabled') return;
    const slow = this.now - call.at > this.s.slowCall;
    if (what === 'failure') this.row = { failures: this.row.failures + 1, successes: 0 };
    if (what === 'success') this.row = { failures: 0, successes: this.row.successes + 1 };
    if (probe !== undefined && call.probe >= 0) {
      if (what !== 'ignored') probe.is = what === 'failure' || slow ? 'bad' : 'good';
      this.decide(this.now);
      return;
    }
    this.log.push({ at: this.now, what, slow });
    const { calls, failures, slow: slowOnes } = this.seen();
    const rate = calls >= this.s.minCalls && (failures / calls >= this.s.failureRate || slowOnes / calls >= this.s.slowRate);
    if (what !== 'ignored' && this.state === 'closed' && (rate || this.row.failures >= this.s.consecutiveFailures)) this.trip(this.now);
  }

  seen(): { calls: number; failures: number; slow: number; ignored: number } {
    if ((this.state === 'isolated' ? this.beneath : this.state) === 'half-open') {
      const count = (is: string): number => this.round.probes.filter((probe) => probe.is === is).length;
      return { calls: count('good') + count('bad'), failures: count('bad'), slow: 0, ignored: this.round.ignored };
    }
    const { window } = this.s;
    const judged = this.log.filter(({ what }) => what !== 'ignored');
    const bucket = (at: number): number => ('duration' in window ? Math.floor(at / (window.duration / window.buckets)) : 0);
    const fresh = ({ at }: { at: number }): boolean => 'calls' in window || bucket(this.now) - bucket(at) < window.buckets;
    const lately = 'calls' in window ? judged.slice(-window.calls) : judged.filter(fresh);
    return {
      calls: lately.length,
      failures: lately.filter(({ what }) => what === 'failure').length,
      slow: lately.filter(({ slow }) => slow).length,
      ignored: this.log.filter((entry) => entry.what === 'ignored' && fresh(entry)).length,
    };
  }

  decide(at: number): void {
    const { calls, successRate, decide } = this.s.probes;
    const good = this.round.probes.filter(({ is }) => is === 'good').length;
    const bad = this.round.probes.filter(({ is }) => is === 'bad').length;
    if (decide === 'all' && good + bad < calls) return;
    if (good / calls >= successRate - 1e-9) this.become('closed', at);
    else if ((calls - bad) / calls < successRate - 1e-9) this.trip(at);
  }

  trip(at: number, ms?: number): void {
    const rested = (this.state === 'isolated' ? this.beneath : this.state) === 'closed' && at - this.closedAt >= this.s.resetAfter;
    this.opens = rested ? 1 : this.opens + 1;
    this.until = at + (ms ?? this.s.openMs * this.opens);
    this.become('open', at);
  }

  become(state: string, at: number): void {
    this.log = [];
    this.row = { failures: 0, successes: 0 };
    this.round = { until: at + this.s.probes.maxDuration, ignored: 0, probes: [] };
    if (state === 'closed') this.closedAt = at;
    if (this.isolations > 0) this.beneath = state;
    else this.show(state);
  }

  show(state: string): void {
    if (state !== this.state) this.events.push(state);
    this.state = state;
    this.states++;
    this.rejected = this.late = 0;
  }

  command(command: Command, ms: number): void {
    this.catchUp();
    const standing = this.state === 'isolated' ? this.beneath : this.state;
    if (command === 'open' && standing !== 'open') this.trip(this.now);
    if (command === 'open for' && standing === 'open') this.until = this.now + ms;
    if (command === 'open for' && standing !== 'open') this.trip(this.now, ms);
    if (command === 'half-open' && standing === 'open') this.become('half-open', this.now);
    if (command === 'close' && standing !== 'closed') this.become('closed', this.now);
    if (command === 'disable' && standing !== 'disabled') this.become('disabled', this.now);
    if (command === 'metrics-only' && standing !== 'metrics-only') this.become('metrics-only', this.now);
    if (command === 'enable' && (standing === 'disabled' || standing === 'metrics-only')) this.become('closed', this.now);
    if (command === 'isolate' && this.isolations++ === 0) {
      this.beneath = this.state;
      this.show('isolated');
    }
    if (command === 'restore' && this.isolations > 0 && --this.isolations === 0) {
      if (this.beneath === 'half-open') this.round = { until: this.now + this.s.probes.maxDuration, ignored: 0, probes: [] };
      this.show(this.beneath);
    }
    if (command === 'reset') {
      this.isolations = this.opens = 0;
      this.become('closed', this.now);
    }
  }

  view(): object {
    this.catchUp();
    const { calls, failures, slow, ignored } = this.seen();
    const probing = (this.state === 'isolated' ? this.beneath : this.state) === 'half-open';
    return {
      state: this.state,
      calls,
      failures,
      ...(!probing && { slow }),
      ignored,
      rejected: this.rejected,
      late: this.late,
      consecutiveFailures: this.row.failures,
      consecutiveSuccesses: this.row.successes,
      remaining: this.state === 'open' ? Math.max(0, this.until - this.now) : 0,
      openCount:
        (this.state === 'isolated' ? this.beneath : this.state) === 'closed' && this.now - this.closedAt >= this.s.resetAfter
          ? 0
          : this.opens,
    };
  }
}

/** What the model is compared with. */
interface Subject {
  readonly events: readonly string[];
  pass(ms: number): void;
  enter(): boolean;
  settle(i: number, what: Verdict | 'cancelled'): void;
  command(command: Command, ms: number): void;
  view(): object;
}

/** The state machine by itself. */
class Bare implements Subject {
  readonly events: string[] = [];
  readonly circuit: Circuit;
  readonly passes: (Pass | undefined)[] = [];
  readonly tokens: object[] = [];
  now = 0;

  constructor({ openMs, ...settings }: Setup) {
    this.circuit = new Circuit({ ...settings, openFor: (count) => openMs * count }, 0);
  }

  pass(ms: number): void {
    this.now += ms;
  }

  enter(): boolean {
    const pass = this.circuit.enter(this.now);
    if (pass !== undefined) this.passes.push(pass);
    return pass !== undefined;
  }

  settle(i: number, what: Verdict | 'cancelled'): void {
    this.circuit.advance(this.now);
    const pass = this.passes[i];
    if (pass === undefined) return;
    this.passes[i] = undefined;
    if (what === 'cancelled') this.circuit.release(pass, this.now);
    else this.circuit.settle(pass, what, 'failed', this.now);
  }

  command(command: Command, ms: number): void {
    const { circuit, now, tokens } = this;
    circuit.advance(now);
    if (command === 'open') circuit.open(now);
    if (command === 'open for') circuit.open(now, ms);
    if (command === 'half-open') circuit.halfOpen(now);
    if (command === 'close') circuit.put('closed', now);
    if (command === 'disable') circuit.put('disabled', now);
    if (command === 'metrics-only') circuit.put('metrics-only', now);
    if (command === 'enable' && ['disabled', 'metrics-only'].includes(circuit.standing)) circuit.put('closed', now);
    if (command === 'reset') circuit.reset(now);
    if (command === 'reset') tokens.length = 0;
    if (command === 'isolate') circuit.isolate(tokens[tokens.push({}) - 1] as object, undefined, now);
    if (command === 'restore') circuit.restore(tokens.pop() ?? {}, now);
  }

  view(): object {
    const view = this.circuit.read(this.now);
    this.events.push(...this.circuit.notes.splice(0).map(({ type }) => type));
    return view;
  }
}

/** The policy in a pipeline, through its public surface. */
class Mounted implements Subject {
  readonly events: string[] = [];
  readonly clock = new VirtualClock();
  readonly breaker: ReturnType<typeof circuitBreaker>;
  readonly guarded: ReturnType<typeof pipeline>;
  readonly admissions: Admission[] = [];
  readonly isolations: Disposable[] = [];

  constructor({ window, minCalls, failureRate, slowCall, slowRate, consecutiveFailures, openMs, probes }: Setup) {
    this.breaker = circuitBreaker({
      window,
      minCalls,
      failureRate,
      slowCall,
      slowRate,
      consecutiveFailures,
      openFor: (count) => openMs * count,
      halfOpen: probes,
    });
    const policy = this.breaker;
    this.guarded = pipeline([policy], { clock: this.clock });
    this.guarded.on('*', ({ type }) => {
      const [kind, what] = type.split('.') as [string, string];
      const words: Record<string, string> = { opened: 'open', 'half-opened': 'half-open', disarmed: 'metrics-only' };
      if (kind === 'circuit-breaker' && what !== 'late' && what !== 'starved') this.events.push(words[what] ?? what);
    });
  }

  pass(ms: number): void {
    this.clock.jump(ms);
  }

  enter(): boolean {
    const answer = this.guarded.tryAcquire();
    if (answer.admitted) this.admissions.push(answer);
    return answer.admitted;
  }

  settle(i: number, what: Verdict | 'cancelled'): void {
    this.breaker.snapshot(); // does what is due, as the model does before each step
    if (what === 'success') this.admissions[i]?.success();
    else if (what === 'failure') this.admissions[i]?.failure();
    else this.admissions[i]?.ignore();
  }

  command(command: Command, ms: number): void {
    const { breaker, isolations } = this;
    if (command === 'open') breaker.open();
    if (command === 'open for') breaker.open(ms);
    if (command === 'half-open' && breaker.state === 'open') breaker.halfOpen();
    if (command === 'close') breaker.close();
    if (command === 'disable') breaker.disable();
    if (command === 'metrics-only') breaker.metricsOnly();
    if (command === 'enable') breaker.enable();
    if (command === 'reset') breaker.reset();
    if (command === 'isolate') isolations.push(breaker.isolate());
    if (command === 'restore') isolations.pop()?.[Symbol.dispose]();
  }

  view(): object {
    return this.breaker.snapshot();
  }
}

/** One step of a trace: what, and a number in [0, 1) that says which or how much. */
type Step = readonly [what: 'enter' | 'settle' | 'pass' | 'command', which: number, ms: number];

function play(model: Model, subject: Subject, trace: readonly Step[], verdicts: readonly (Verdict | 'cancelled')[]): void {
  for (const [what, which, ms] of trace) {
    if (what === 'pass') {
      model.pass(ms);
      subject.pass(ms);
    } else if (what === 'enter') {
      const admitted = subject.enter();
      if (admitted !== model.enter()) expect.fail(`it ${admitted ? 'admitted' : 'refused'} a call, the model did not`);
    } else if (what === 'settle') {
      // Mostly one of the latest calls, so that stragglers stay the exception.
      const i = Math.max(0, model.calls.length - 1 - Math.floor(which * 6));
      const verdict = verdicts[Math.floor(which * 1000) % verdicts.length] as Verdict;
      subject.settle(i, verdict);
      model.settle(i, verdict);
    } else {
      const command = commands[Math.floor(which * commands.length)] as Command;
      subject.command(command, ms + 1);
      model.command(command, ms + 1);
    }
    const seen = subject.view() as Record<string, unknown>;
    const meant = model.view();
    if (Object.entries(meant).some(([name, value]) => seen[name] !== value)) expect(seen).toMatchObject(meant);
    if (subject.events.length !== model.events.length || subject.events.at(-1) !== model.events.at(-1))
      expect(subject.events).toEqual(model.events);
  }
  expect(subject.events).toEqual(model.events);
}

const steps: readonly Step[0][] = ['enter', 'enter', 'enter', 'settle', 'settle', 'settle', 'settle', 'pass', 'pass', 'command'];

const setups = fc.record({
  window: fc.oneof(
    fc.record({ calls: fc.integer({ min: 4, max: 12 }) }),
    fc.record({ duration: fc.integer({ min: 10, max: 400 }), buckets: fc.integer({ min: 1, max: 6 }) }),
  ),
  minCalls: fc.integer({ min: 1, max: 4 }),
  failureRate: fc.constantFrom(0.3, 0.5, 1),
  slowCall: fc.integer({ min: 1, max: 60 }),
  slowRate: fc.constantFrom(0.4, 1),
  consecutiveFailures: fc.integer({ min: 1, max: 6 }),
  openMs: fc.integer({ min: 1, max: 80 }),
  resetAfter: fc.integer({ min: 1, max: 200 }),
  probes: fc.record({
    calls: fc.integer({ min: 1, max: 5 }),
    concurrency: fc.integer({ min: 1, max: 5 }),
    successRate: fc.constantFrom(0.2, 0.5, 0.67, 1),
    probeTimeout: fc.integer({ min: 1, max: 90 }),
    maxDuration: fc.oneof(fc.constant(Infinity), fc.integer({ min: 1, max: 200 })),
    decide: fc.constantFrom('early' as const, 'all' as const),
  }),
});

const traces = fc.array(
  fc.tuple(fc.constantFrom(...steps), fc.double({ min: 0, max: 0.999, noNaN: true }), fc.integer({ min: 0, max: 70 })),
  { minLength: 1, maxLength: 100, size: 'max' },
);

describe('a circuit and the model of it agree on every trace of calls, late results, commands and time', () => {
  test('through the public surface, events in order (K1, K3, K8, K9, K10)', () => {
    fc.assert(
      fc.property(setups, traces, (setup, trace) => {
        // A function of the opening count has no settings of its own: openings count anew after one window.
        const length = 'calls' in setup.window ? 30_000 : setup.window.duration;
        play(new Model({ ...setup, resetAfter: length }), new Mounted(setup), trace, ['success', 'failure', 'failure', 'ignored']);
      }),
      { numRuns: 1000 },
    );
  });

  test('the state machine alone, in 10 000 traces of 100 steps (K10)', () => {
    const random = seededRandom(20_260_801);
    const pick = (from: number, to: number): number => from + Math.floor(random() * (to - from + 1));
    const reached = new Set<string>();
    for (let run = 0; run < 10_000; run++) {
      const setup: Setup = {
        window: random() < 0.5 ? { calls: pick(4, 12) } : { duration: pick(10, 400), buckets: pick(1, 6) },
        minCalls: pick(1, 4),
        failureRate: [0.3, 0.5, 1][pick(0, 2)] as number,
        slowCall: pick(1, 60),
        slowRate: random() < 0.5 ? 0.4 : Infinity,
        consecutiveFailures: random() < 0.5 ? pick(1, 6) : Infinity,
        openMs: pick(1, 80),
        resetAfter: pick(1, 200),
        probes: {
          calls: pick(1, 5),
          concurrency: pick(1, 5),
          successRate: [0.2, 0.5, 0.67, 1][pick(0, 3)] as number,
          probeTimeout: pick(1, 90),
          maxDuration: random() < 0.7 ? Infinity : pick(1, 200),
          decide: random() < 0.5 ? 'early' : 'all',
        },
      };
      const model = new Model(setup);
      const subject = new Bare(setup);
      const trace = Array.from({ length: 100 }, (): Step => [steps[pick(0, steps.length - 1)] as Step[0], random(), pick(0, 70)]);
      play(model, subject, trace, ['success', 'success', 'failure', 'failure', 'ignored', 'cancelled']);
      for (const event of model.events) reached.add(event);
    }
    expect([...reached].sort()).toEqual(['closed', 'disabled', 'half-open', 'isolated', 'metrics-only', 'open', 'probe-expired']);
  }, 60_000);
});
