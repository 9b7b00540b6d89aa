/** Pictures in the docs, drawn from real runs: what each limiter lets through of the same traffic. */

import {
  type GatePolicy,
  adaptiveRate,
  composite,
  fixedWindow,
  leakyBucket,
  pipeline,
  slidingLog,
  slidingWindow,
  tokenBucket,
  warmUp,
} from 'breakwater';
import { VirtualClock, seededRandom } from 'breakwater/testing';
import { View, parse } from 'vega';
import { compile } from 'vega-lite';

/** One bar in the picture, ms. */
const BAR = 250;
/** The traffic: calls per second from one time (s) to the next. Every picture shows the same. */
const traffic = [
  { from: 0, to: 2, rate: 6 },
  { from: 2, to: 2.25, rate: 120 },
  { from: 2.25, to: 5, rate: 6 },
  { from: 5, to: 8, rate: 24 },
  { from: 8, to: 10, rate: 0 },
  { from: 10, to: 12, rate: 24 },
];
const END = 12_000;

interface Shown {
  readonly title: string;
  readonly make: () => GatePolicy;
}

/** All of them allow ten calls a second. */
const limiters: Readonly<Record<string, Shown>> = {
  'token-bucket': { title: 'tokenBucket({ rate: 10, burst: 20 })', make: () => tokenBucket({ rate: 10, burst: 20 }) },
  'leaky-bucket': { title: "leakyBucket({ rate: 10, maxQueueTime: '1s' })", make: () => leakyBucket({ rate: 10, maxQueueTime: '1s' }) },
  'fixed-window': { title: "fixedWindow({ limit: 10, window: '1s' })", make: () => fixedWindow({ limit: 10, window: '1s' }) },
  'sliding-window': { title: "slidingWindow({ limit: 10, window: '1s' })", make: () => slidingWindow({ limit: 10, window: '1s' }) },
  'sliding-log': { title: "slidingLog({ limit: 10, window: '1s' })", make: () => slidingLog({ limit: 10, window: '1s' }) },
  'warm-up': {
    title: "warmUp({ rate: 10, warmUpPeriod: '3s', pacing: true, maxWait: '1s' })",
    make: () => warmUp({ rate: 10, warmUpPeriod: '3s', pacing: true, maxWait: '1s' }),
  },
  composite: {
    title: "composite([tokenBucket({ rate: 10, burst: 20 }), fixedWindow({ limit: 25, window: '5s' })])",
    make: () => composite([tokenBucket({ rate: 10, burst: 20 }), fixedWindow({ limit: 25, window: '5s' })]),
  },
  'adaptive-rate': {
    title: "adaptiveRate({ maxWait: '1s' }) before a service that bears 10 calls a second",
    make: () => adaptiveRate({ maxWait: '1s' }),
  },
};

interface Bar {
  readonly time: number;
  readonly calls: number;
  readonly what: string;
}

/** Runs the traffic through a limiter and counts, for each bar, the calls that came and those whose work began. */
async function run({ make }: Shown, answer: (now: number) => unknown): Promise<Bar[]> {
  const clock = new VirtualClock();
  const limited = pipeline([make()], { clock, random: seededRandom(1) });
  const came = new Array<number>(END / BAR).fill(0);
  const began = new Array<number>(END / BAR).fill(0);
  const count = (bars: number[]): void => {
    const bar = Math.floor(clock.now() / BAR);
    if (bar < bars.length) bars[bar] = (bars[bar] as number) + 1;
  };
  const calls: Promise<unknown>[] = [];
  for (const at of arrivals()) {
    await clock.advance(at - clock.now());
    count(came);
    const call = limited.executeOutcome(() => {
      count(began);
      return answer(clock.now());
    });
    calls.push(call);
  }
  await clock.until(Promise.all(calls));
  return came.flatMap((calls, i) => [
    { time: (i * BAR) / 1000, calls, what: 'came' },
    { time: (i * BAR) / 1000, calls: began[i] as number, what: 'let through' },
  ]);
}

/** Evenly spaced, ms. */
function arrivals(): number[] {
  return traffic.flatMap(({ from, to, rate }) =>
    Array.from({ length: Math.round((to - from) * rate) }, (_, i) => (from + i / rate) * 1000),
  );
}

/** A service that answers with 429 beyond ten calls a second. */
function bearing(limit: number): (now: number) => unknown {
  let recent: number[] = [];
  return (now) => {
    recent = recent.filter((at) => now - at < 1000);
    recent.push(now);
    return recent.length > limit ? new Response('', { status: 429 }) : 'ok';
  };
}

async function draw(title: string, values: readonly Bar[]): Promise<string> {
  const { spec } = compile({
    title: { text: title, font: 'monospace', fontSize: 12, anchor: 'start' },
    width: 640,
    height: 130,
    background: 'white',
    data: { values: values.map((bar) => ({ ...bar, end: bar.time + BAR / 1000 })) },
    mark: { type: 'bar', orient: 'vertical' },
    encoding: {
      x: { field: 'time', type: 'quantitative', title: 'seconds', scale: { domain: [0, END / 1000] }, axis: { grid: false } },
      x2: { field: 'end' },
      y: { field: 'calls', type: 'quantitative', stack: null, title: 'calls in 250 ms', scale: { domain: [0, 30] } },
      color: { field: 'what', type: 'nominal', title: null, scale: { domain: ['came', 'let through'], range: ['#d9d9d9', '#1f6f8b'] } },
    },
  });
  return `${await new View(parse(spec), { renderer: 'none' }).toSVG()}\n`;
}

/** Every picture, by its path in the project. */
export async function pictures(): Promise<ReadonlyMap<string, string>> {
  const drawn = new Map<string, string>();
  for (const [name, shown] of Object.entries(limiters)) {
    const answer = name === 'adaptive-rate' ? bearing(10) : () => 'ok';
    drawn.set(`docs/pictures/${name}.svg`, await draw(shown.title, await run(shown, answer)));
  }
  return drawn;
}
