import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Admission, pipeline } from 'breakwater';
import { VirtualClock, seededRandom } from 'breakwater/testing';
import { Circuit } from '../../src/algorithms/circuit.ts';
import type { Pass } from '../../src/algorithms/pass.ts';
import { circuitBreaker } from '../../src/policies/circuit-breaker.ts';

interface Setup {
  readonly window: { readonly calls: number } | { readonly duration: number; readonly buckets: number };
  readonly minCalls: number;
  readonly failureRate: number;
  readonly slowCall: number;
  readonly slowRate: number;
  readonly slowInFlight: boolean;
  readonly badRate: number;
  readonly comparison: 'at-least' | 'above';
  readonly consecutiveFailures: number;
  readonly failures: number;
  readonly tripOnRetryAfter: boolean;
  readonly warmUp: { readonly duration: number; readonly calls: number };
  readonly rampUp: { readonly duration: number; readonly min: number; readonly aggression: number } | undefined;
  readonly openMs: number;
  readonly resetAfter: number;
  readonly probes: {
    calls: number;
    concurrency: number;
    successRate: number;
    probeTimeout: number;
    maxDuration: number;
    onExpire: 'open' | 'close';
    decide: 'early' | 'all';
  };
}

type Verdict = 'success' | 'failure' | 'ignored' | 'throttled' | 'asking';

/** How long an 'asking' failure asks to be left alone, ms. */
const asked = 37;

/** A throttled failure is no failure in a row; one that asks for a wait says for how long. */
const hintOf = (what: Verdict): { throttled: boolean; retryAfter: number | undefined } => ({
  throttled: what === 'throttled',
  retryAfter: what === 'asking' ? asked : undefined,
});
const isBad = (what: string): boolean => what === 'failure' || what === 'throttled' || what === 'asking';
const commands = ['open', 'open for', 'half-open', 'close', 'disable', 'metrics-only', 'enable', 'reset', 'isolate', 'restore'] as const;
type Command = (typeof commands)[number];

/** A call that was let in. */
interface Entered {
  readonly at: number;
  readonly states: number;
  readonly probe: number;
  over: boolean;
  overdue: boolean;
}

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
  ramping = false;
  askedUntil = -Infinity;
  judged = 0;
  rejected = 0;
  late = 0;
  round: { until: number; ignored: number; probes: { due: number; is: 'out' | 'good' | 'bad' | 'gone' }[] } = {
    until: 0,
    ignored: 0,
    probes: [],
  };
  calls: Entered[] = [];
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
      else if (this.s.probes.onExpire === 'close') this.become('closed', next, true);
      else this.trip(next);
    }
    if (this.state === 'open' && this.now >= this.until) this.become('half-open', this.now);
    if (this.share() === 1) this.ramping = false;
    const before = this.calls.filter(({ overdue }) => overdue).length;
    if (this.state === 'closed' || this.state === 'metrics-only') {
      for (const call of this.calls) if (!call.over && this.isOverdue(call)) call.overdue = true;
      if (this.calls.filter(({ overdue }) => overdue).length > before) this.judge(false);
    }
  }

  isOverdue(call: Entered): boolean {
    return this.s.slowInFlight && call.states === this.states && this.now - call.at > this.s.slowCall;
  }

  /** Calls under way that are slow already. */
  overdue(): number {
    return this.calls.filter(({ over, overdue, states }) => !over && overdue && states === this.states).length;
  }

  share(): number {
    const { rampUp } = this.s;
    if (!this.ramping || rampUp === undefined) return 1;
    const passed = (this.now - this.closedAt) / rampUp.duration;
    return passed >= 1 ? 1 : Math.max(rampUp.min, Math.max(0, passed) ** (1 / rampUp.aggression));
  }

  enter(u: number): boolean {
    this.catchUp();
    const places = this.round.probes.filter(({ is }) => is !== 'gone');
    const out = places.filter(({ is }) => is === 'out').length;
    const room = places.length < this.s.probes.calls && out < this.s.probes.concurrency;
    const shut = this.state === 'open' || this.state === 'isolated' || u >= this.share();
    const admitted = this.state === 'half-open' ? room : !shut;
    if (!admitted) this.rejected++;
    else {
      const probe = this.state === 'half-open' ? this.round.probes.push({ due: this.now + this.s.probes.probeTimeout, is: 'out' }) - 1 : -1;
      this.calls.push({ at: this.now, states: this.states, probe, over: false, overdue: false });
    }
    return admitted;
  }

  settle(i: number, what: Verdict | 'cancelled'): void {
    const found = this.calls[i];
    const call = found?.over === false ? found : undefined;
    if (call !== undefined) call.over = true;
    this.catchUp();
    if (call === undefined) return;
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
    if (what === 'failure' || what === 'asking') this.row = { failures: this.row.failures + 1, successes: 0 };
    if (what === 'throttled') this.row = { failures: this.row.failures, successes: 0 };
    if (what === 'success') this.row = { failures: 0, successes: this.row.successes + 1 };
    if (what === 'asking') this.askedUntil = this.now + asked;
    if (probe !== undefined && call.probe >= 0) {
      if (what !== 'ignored') probe.is = isBad(what) || slow ? 'bad' : 'good';
      this.decide(this.now);
      return;
    }
    this.log.push({ at: this.now, what, slow });
    if (what !== 'ignored') this.judge(true, what === 'asking');
  }

  /** Whether it is bad enough to open; `counts` if one more call has been judged. */
  judge(counts: boolean, asks = false): void {
    const { warmUp, minCalls, failureRate, slowRate, badRate, comparison } = this.s;
    const cold = this.judged < warmUp.calls || this.now < warmUp.duration;
    if (counts) this.judged++;
    if (cold || this.state !== 'closed') return;
    const { calls, failures, slow, both } = this.seen();
    const hanging = this.overdue();
    const needed = this.share() === 1 ? minCalls : Math.max(1, Math.ceil(minCalls * this.share()));
    const meets = (part: number, of: number, limit: number): boolean =>
      of >= needed && part > 0 && (comparison === 'above' ? part / of > limit : part / of >= limit);
    const trips =
      this.row.failures >= this.s.consecutiveFailures ||
      (asks && this.s.tripOnRetryAfter) ||
      failures >= this.s.failures ||
      meets(failures, calls, failureRate) ||
      meets(slow + hanging, calls + hanging, slowRate) ||
      meets(failures + slow - both + hanging, calls + hanging, badRate);
    if (trips) this.trip(this.now);
  }

  seen(): { calls: number; failures: number; slow: number; both: number; ignored: number } {
    if ((this.state === 'isolated' ? this.beneath : this.state) === 'half-open') {
      const count = (is: string): number => this.round.probes.filter((probe) => probe.is === is).length;
      return { calls: count('good') + count('bad'), failures: count('bad'), slow: 0, both: 0, ignored: this.round.ignored };
    }
    const { window } = this.s;
    const judged = this.log.filter(({ what }) => what !== 'ignored');
    const bucket = (at: number): number => ('duration' in window ? Math.floor(at / (window.duration / window.buckets)) : 0);
    const fresh = ({ at }: { at: number }): boolean => 'calls' in window || bucket(this.now) - bucket(at) < window.buckets;
    const lately = 'calls' in window ? judged.slice(-window.calls) : judged.filter(fresh);
    return {
      calls: lately.length,
      failures: lately.filter(({ what }) => isBad(what)).length,
      both: lately.filter(({ what, slow }) => isBad(what) && slow).length,
      slow: lately.filter(({ slow }) => slow).length,
      ignored: this.log.filter((entry) => entry.what === 'ignored' && fresh(entry)).length,
    };
  }

  decide(at: number): void {
    const { calls, successRate, decide } = this.s.probes;
    const good = this.round.probes.filter(({ is }) => is === 'good').length;
    const bad = this.round.probes.filter(({ is }) => is === 'bad').length;
    if (decide === 'all' && good + bad < calls) return;
    if (good / calls >= successRate - 1e-9) this.become('closed', at, true);
    else if ((calls - bad) / calls < successRate - 1e-9) this.trip(at);
  }

  trip(at: number, ms?: number): void {
    const rested = (this.state === 'isolated' ? this.beneath : this.state) === 'closed' && at - this.closedAt >= this.s.resetAfter;
    this.opens = rested ? 1 : this.opens + 1;
    this.until = ms === undefined ? Math.max(at + this.s.openMs * this.opens, this.askedUntil) : at + ms;
    this.become('open', at);
  }

  become(state: string, at: number, ramps = false): void {
    this.log = [];
    this.askedUntil = -Infinity;
    this.ramping = ramps && this.s.rampUp !== undefined;
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
    if (command === 'close') this.ramping = false;
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
      ramp: this.ramping ? this.share() : undefined,
      slowInFlight: this.overdue(),
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
  enter(u: number): boolean;
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
    this.circuit = new Circuit({ ...settings, tripWhen: undefined, maxRetryAfter: 1000, openFor: (count) => openMs * count }, 0);
  }

  pass(ms: number): void {
    this.now += ms;
  }

  enter(u: number): boolean {
    const pass = this.circuit.enter(this.now, u);
    if (pass !== undefined) this.passes.push(pass);
    return pass !== undefined;
  }

  settle(i: number, what: Verdict | 'cancelled'): void {
    const pass = this.passes[i];
    if (pass === undefined) this.circuit.advance(this.now);
    if (pass === undefined) return;
    this.passes[i] = undefined;
    if (what === 'cancelled') this.circuit.release(pass, this.now);
    else this.circuit.settle(pass, isBad(what) ? 'failure' : (what as 'success'), 'failed', this.now, hintOf(what));
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

  u = 0;

  constructor({ openMs, resetAfter: _, rampUp, probes, ...conditions }: Setup) {
    this.breaker = circuitBreaker({
      ...conditions,
      ...(rampUp !== undefined && { rampUp }),
      maxRetryAfter: 1000,
      openFor: (count) => openMs * count,
      halfOpen: probes,
      classify: ({ ok, ...outcome }) => (ok ? undefined : { verdict: 'failure', ...(outcome as { error: object }).error }),
    });
    const policy = this.breaker;
    this.guarded = pipeline([policy], { clock: this.clock, random: () => this.u });
    this.guarded.on('*', ({ type }) => {
      const [kind, what] = type.split('.') as [string, string];
      const words: Record<string, string> = { opened: 'open', 'half-opened': 'half-open', disarmed: 'metrics-only' };
      if (kind === 'circuit-breaker' && what !== 'late' && what !== 'starved') this.events.push(words[what] ?? what);
    });
  }

  pass(ms: number): void {
    this.clock.jump(ms);
  }

  enter(u: number): boolean {
    this.u = u;
    const answer = this.guarded.tryAcquire();
    if (answer.admitted) this.admissions.push(answer);
    return answer.admitted;
  }

  settle(i: number, what: Verdict | 'cancelled'): void {
    if (what === 'success') this.admissions[i]?.success();
    else if (isBad(what)) this.admissions[i]?.failure(hintOf(what as Verdict));
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
      const admitted = subject.enter(which);
      if (admitted !== model.enter(which)) expect.fail(`it ${admitted ? 'admitted' : 'refused'} a call, the model did not`);
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
  failureRate: fc.constantFrom(0.3, 0.5, 0.9),
  slowCall: fc.integer({ min: 1, max: 60 }),
  slowRate: fc.constantFrom(0.4, 0.9),
  slowInFlight: fc.boolean(),
  badRate: fc.constantFrom(0.6, 0.9),
  comparison: fc.constantFrom('at-least' as const, 'above' as const),
  consecutiveFailures: fc.integer({ min: 1, max: 6 }),
  failures: fc.integer({ min: 1, max: 8 }),
  tripOnRetryAfter: fc.boolean(),
  warmUp: fc.record({ duration: fc.constant(0), calls: fc.integer({ min: 0, max: 5 }) }),
  rampUp: fc.option(
    fc.record({ duration: fc.integer({ min: 1, max: 200 }), min: fc.constantFrom(0.1, 0.5), aggression: fc.constantFrom(0.5, 1, 2) }),
    { nil: undefined },
  ),
  openMs: fc.integer({ min: 1, max: 80 }),
  resetAfter: fc.integer({ min: 1, max: 200 }),
  probes: fc.record({
    calls: fc.integer({ min: 1, max: 5 }),
    concurrency: fc.integer({ min: 1, max: 5 }),
    successRate: fc.constantFrom(0.2, 0.5, 0.67, 1),
    probeTimeout: fc.integer({ min: 1, max: 90 }),
    maxDuration: fc.oneof(fc.constant(Infinity), fc.integer({ min: 1, max: 200 })),
    onExpire: fc.constantFrom('open' as const, 'close' as const),
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
        play(new Model({ ...setup, resetAfter: length }), new Mounted(setup), trace, [
          'success',
          'success',
          'failure',
          'failure',
          'throttled',
          'asking',
          'ignored',
        ]);
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
        slowInFlight: random() < 0.4,
        badRate: random() < 0.3 ? 0.6 : Infinity,
        comparison: random() < 0.7 ? 'at-least' : 'above',
        consecutiveFailures: random() < 0.5 ? pick(1, 6) : Infinity,
        failures: random() < 0.3 ? pick(1, 6) : Infinity,
        tripOnRetryAfter: random() < 0.3,
        warmUp: random() < 0.7 ? { duration: 0, calls: 0 } : { duration: pick(0, 100), calls: pick(0, 6) },
        rampUp: random() < 0.5 ? undefined : { duration: pick(1, 300), min: 0.1, aggression: pick(1, 4) / 2 },
        openMs: pick(1, 80),
        resetAfter: pick(1, 200),
        probes: {
          calls: pick(1, 5),
          concurrency: pick(1, 5),
          successRate: [0.2, 0.5, 0.67, 1][pick(0, 3)] as number,
          probeTimeout: pick(1, 90),
          maxDuration: random() < 0.7 ? Infinity : pick(1, 200),
          onExpire: random() < 0.5 ? 'open' : 'close',
          decide: random() < 0.5 ? 'early' : 'all',
        },
      };
      const model = new Model(setup);
      const subject = new Bare(setup);
      const trace = Array.from({ length: 100 }, (): Step => [steps[pick(0, steps.length - 1)] as Step[0], random(), pick(0, 70)]);
      play(model, subject, trace, ['success', 'success', 'success', 'failure', 'failure', 'throttled', 'asking', 'ignored', 'cancelled']);
      for (const event of model.events) reached.add(event);
    }
    expect([...reached].sort()).toEqual(['closed', 'disabled', 'half-open', 'isolated', 'metrics-only', 'open', 'probe-expired']);
  }, 60_000);
});
