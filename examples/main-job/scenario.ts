/** Five phases of one service, the same load on both gateways, and what came of it. */

import { bareGateway, guardedGateway, listen, promisedWithin } from './gateways.ts';
import { type Ending, type Shot, type Witness, load } from './load.ts';
import { type Mood, type Upstream, startUpstream } from './upstream.ts';

export interface Phase {
  readonly name: string;
  readonly mood: Mood;
  /** ms, at full length. */
  readonly lasts: number;
}

export const phases: readonly Phase[] = [
  { name: 'healthy', mood: { takes: 20, fails: 0 }, lasts: 6000 },
  { name: 'slow', mood: { takes: 250, fails: 0 }, lasts: 9000 },
  { name: 'failing', mood: { takes: 15, fails: 0.9 }, lasts: 7000 },
  { name: 'hanging', mood: { takes: Infinity, fails: 0 }, lasts: 8000 },
  { name: 'recovering', mood: { takes: 60, fails: 0 }, lasts: 9000 },
];

export interface ScenarioOptions {
  /** Factor on the length of every phase. */
  readonly scale: number;
  /** How long users wait, ms. */
  readonly patience: number;
  /** Requests per second, to each gateway. */
  readonly rate: number;
  readonly seed: number;
  /** Called about every second, and once at the end of the load. */
  readonly progress?: (progress: Progress) => void;
}

export interface Progress {
  /** ms since the load began. */
  readonly at: number;
  readonly total: number;
  /** Index of the phase under way; the number of phases once only stragglers are left. */
  readonly phase: number;
  readonly bare: Side;
  readonly guarded: Side;
}

/** What users and the service saw of one phase. Requests belong to the phase they were sent in. */
export interface PhaseResult {
  readonly sent: number;
  readonly endings: Readonly<Record<Ending, number>>;
  /** Share of users who got an answer, fresh or degraded. */
  readonly answered: number;
  /** Share of users who got one within the time that the guarded gateway promises. */
  readonly prompt: number;
  /** ms, over all requests, however they ended. */
  readonly p50: number;
  readonly p99: number;
  /** The most requests that the service had on its hands at one time. */
  readonly peak: number;
  /** Requests that reached the service. */
  readonly reached: number;
}

/** One gateway and the service behind it, as measured. */
export interface Side {
  readonly name: 'bare' | 'guarded';
  readonly phases: readonly PhaseResult[];
  /** Requests on the service's hands now. */
  readonly load: number;
  /** Users who wait now. */
  readonly waiting: number;
  /** How far into the last phase it was as if nothing had been: four of five users with a fresh answer in the promised time, and so to the end. ms; `Infinity` if never. */
  readonly recovery: number;
  /** What 99 of 100 users waited at the most, for an answer or until they gave up, ms. */
  readonly p99: number;
}

/** Runs the scenario from beginning to end on free ports of 127.0.0.1. */
export async function runScenario(options: ScenarioOptions): Promise<{ readonly bare: Side; readonly guarded: Side }> {
  const ends = phaseEnds(options.scale);
  const total = ends.at(-1) as number;
  const healthy = (phases[0] as Phase).mood;
  const upstreams = [await startUpstream(healthy, options.seed), await startUpstream(healthy, options.seed)] as const;
  const bareApp = await listen(bareGateway(upstreams[0].url));
  const guardedApp = await listen(guardedGateway(upstreams[1].url).app);
  const bare = new Measure('bare', upstreams[0], ends);
  const guarded = new Measure('guarded', upstreams[1], ends);

  // The first requests load and compile half of Node; they are nobody's measure.
  const warmUp = { rate: 50, lasts: 400, items: 10, patience: 5000, seed: 1 };
  await Promise.all([bareApp, guardedApp].map(({ port }) => load(port, warmUp)));
  bare.begin();
  guarded.begin();

  const start = performance.now();
  let phase = 0;
  const tell = (): void => {
    options.progress?.({ at: performance.now() - start, total, phase, bare: bare.side(), guarded: guarded.side() });
  };
  const turns = ends.map((end, i) =>
    setTimeout(() => {
      const at = performance.now() - start;
      bare.endPhase(i, at);
      guarded.endPhase(i, at);
      const next = phases[i + 1];
      if (next !== undefined) for (const upstream of upstreams) upstream.setMood(next.mood);
      phase = i + 1;
      if (next === undefined) tell();
    }, end),
  );
  const ticking = setInterval(tell, 1000);
  const plan = { rate: options.rate, lasts: total, items: 60, patience: options.patience, seed: options.seed };
  try {
    await Promise.all([
      load(bareApp.port, plan, bare),
      load(guardedApp.port, plan, guarded),
      new Promise((resolve) => setTimeout(resolve, total + 1)),
    ]);
    return { bare: bare.side(), guarded: guarded.side() };
  } finally {
    clearInterval(ticking);
    for (const turn of turns) clearTimeout(turn);
    await Promise.all([bareApp, guardedApp, ...upstreams].map((each) => each.stop()));
  }
}

/** When each phase ends, ms since the load began. */
function phaseEnds(scale: number): readonly number[] {
  let end = 0;
  return phases.map(({ lasts }) => (end += lasts * scale));
}

/** Collects what happens to one gateway. */
class Measure implements Witness {
  readonly #name: Side['name'];
  readonly #upstream: Upstream;
  /** As planned, until they have come. */
  readonly #ends: number[];
  readonly #shots: Shot[][];
  readonly #peaks: number[] = [];
  readonly #arrived: number[] = [0];
  #waiting = 0;

  constructor(name: Side['name'], upstream: Upstream, ends: readonly number[]) {
    this.#name = name;
    this.#upstream = upstream;
    this.#ends = [...ends];
    this.#shots = ends.map(() => []);
  }

  begin(): void {
    this.#upstream.takePeak();
    this.#arrived[0] = this.#upstream.arrived;
  }

  sent(): void {
    this.#waiting++;
  }

  ended(shot: Shot): void {
    this.#waiting--;
    const phase = this.#ends.findIndex((end) => shot.at < end);
    this.#shots.at(phase)?.push(shot);
  }

  endPhase(phase: number, at: number): void {
    this.#ends[phase] = at;
    this.#peaks[phase] = this.#upstream.takePeak();
    this.#arrived[phase + 1] = this.#upstream.arrived;
  }

  side(): Side {
    return {
      name: this.#name,
      phases: this.#shots.map((shots, i) => this.#result(shots, i)),
      load: this.#upstream.load,
      waiting: this.#waiting,
      recovery: recovery(this.#shots.at(-1) ?? [], this.#ends.at(-2) ?? 0, this.#ends.at(-1) ?? 0),
      p99: quantile(sorted(this.#shots.flat()), 0.99),
    };
  }

  #result(shots: readonly Shot[], phase: number): PhaseResult {
    const endings: Record<Ending, number> = { fresh: 0, degraded: 0, refused: 0, failed: 0, 'timed out': 0 };
    for (const { ending } of shots) endings[ending]++;
    const times = sorted(shots);
    return {
      sent: shots.length,
      endings,
      answered: shots.filter(isAnswer).length / shots.length,
      prompt: shots.filter((shot) => isAnswer(shot) && shot.took <= promisedWithin).length / shots.length,
      p50: quantile(times, 0.5),
      p99: quantile(times, 0.99),
      peak: this.#peaks[phase] ?? NaN,
      reached: (this.#arrived[phase + 1] ?? NaN) - (this.#arrived[phase] ?? NaN),
    };
  }
}

function isAnswer({ ending }: Shot): boolean {
  return ending === 'fresh' || ending === 'degraded';
}

function sorted(shots: readonly Shot[]): readonly number[] {
  return shots.map(({ took }) => took).sort((a, b) => a - b);
}

function quantile(sorted: readonly number[], q: number): number {
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? NaN;
}

/** The beginning of the first half second from which on all was well. */
function recovery(shots: readonly Shot[], begin: number, end: number): number {
  const slice = 500;
  const slices = Math.floor((end - begin) / slice);
  let well = slices;
  for (let i = slices - 1; i >= 0; i--) {
    const sent = shots.filter(({ at }) => Math.floor((at - begin) / slice) === i);
    const good = sent.filter(({ ending, took }) => ending === 'fresh' && took <= promisedWithin);
    if (good.length < 0.8 * sent.length) break;
    well = i;
  }
  return well === slices ? Infinity : well * slice;
}
