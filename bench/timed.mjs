/** Times contestants against each other: all warm up first, then one short sample of each per round. */

import { freshLoop, freshWork, Tally } from './loops.mjs';

/** How long to measure. */
export const plans = {
  full: { rounds: 15, warmUp: 150, sample: 20 },
  quick: { rounds: 5, warmUp: 60, sample: 8 },
  tiny: { rounds: 1, warmUp: 0, sample: 0 },
};

/** One contestant, built and ready to run. */
class Runner {
  samples = [];
  #name;
  #kind;
  #tally = new Tally();
  #loop;
  #close;
  #step;
  #size;

  constructor(name, kind) {
    this.#name = name;
    this.#kind = kind;
    this.#step = kind === 'callers' ? 100 : 1;
    this.#size = this.#step;
  }

  async build(contestant, work) {
    const { call, close } = await contestant.make(freshWork(work, this.#tally));
    this.#loop = freshLoop(this.#kind, call, this.#tally);
    this.#close = close;
    if (this.#kind === 'refused') await this.#expectRefusal(call, contestant.refusal);
  }

  /** Runs until V8 has compiled what it will compile, and finds out how many calls a sample takes. */
  async warmUp({ warmUp, sample }) {
    let spent = 0;
    let each = Infinity;
    for (let size = this.#step; spent < warmUp; size = Math.min(size * 4, this.#fitting(warmUp / 4, each))) {
      const took = await this.#run(size);
      spent += took;
      each = took / size;
    }
    this.#size = warmUp === 0 ? this.#step * 2 : this.#fitting(sample, each);
  }

  async sample() {
    globalThis.gc?.({ type: 'minor', execution: 'sync' });
    this.samples.push((await this.#run(this.#size)) * (1e6 / this.#size));
  }

  async close() {
    await this.#close?.();
  }

  #fitting(ms, each) {
    return Math.max(1, Math.round(ms / each / this.#step)) * this.#step;
  }

  async #run(size) {
    const tally = this.#tally;
    tally.ran = tally.answered = tally.refused = 0;
    const took = await this.#loop(size);
    const expected = this.#kind === 'refused' ? [0, 0, size] : [size, size, 0];
    const counted = [tally.ran, tally.answered, tally.refused];
    if (counted.some((count, i) => count !== expected[i]))
      throw new Error(`${this.#name}: of ${size} calls, work ran/answered/refused ${counted.join('/')}, expected ${expected.join('/')}`);
    return took;
  }

  async #expectRefusal(call, refusal) {
    const got = await Promise.resolve(call(0)).then(
      () => 'an answer',
      (error) => (error instanceof Error ? error.name + ': ' + error.message : error.constructor.name),
    );
    if (!refusal.test(got)) throw new Error(`${this.#name}: expected a refusal like ${refusal}, got ${got}`);
  }
}

/**
 * Runs all timed cases. The whole field warms up before the first sample is taken, so that no figure depends on the order of the cases, and every
 * library has seen all the shapes it will see, as in an application that uses more than one of its policies.
 *
 * @returns per case, by contestant, the nanoseconds per call of each round
 */
export async function runTimed(cases, plan, say = () => undefined) {
  const field = [];
  for (const { id, kind, work, contestants } of cases) {
    const runners = [];
    for (const contestant of contestants) {
      const runner = new Runner(`${id}, ${contestant.name}`, kind);
      await runner.build(contestant, work ?? 'immediate');
      runners.push(runner);
    }
    field.push(runners);
  }
  for (const [i, runners] of field.entries()) {
    say(`warming up: ${cases[i].title}`);
    for (const runner of runners) await runner.warmUp(plan);
  }
  for (let round = 0; round < plan.rounds; round++) {
    say(`round ${round + 1} of ${plan.rounds}`);
    for (const runners of field) for (let i = 0; i < runners.length; i++) await runners[(i + round) % runners.length].sample();
  }
  for (const runners of field) for (const runner of runners) await runner.close();
  return cases.map(({ contestants }, i) => new Map(contestants.map(({ name }, k) => [name, field[i][k].samples])));
}
