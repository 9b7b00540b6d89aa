import { describe, expect, test } from 'vitest';
import { type Clock, type Pipeline, type Priority, pipeline } from 'breakwater';
import { VirtualClock, seededRandom } from 'breakwater/testing';
import { Bucket } from '../../src/algorithms/meters/token-bucket.ts';
import { type ThrottleOptions, throttle } from '../../src/policies/throttle.ts';

/** A twentieth of the book's window and a tenth of its clients: what counts is how many requests each has in its window. */
const WINDOW = 6000;
const CLIENTS = 10;
const STEP = 10;
/** What the service takes, calls per second in all. */
const CAPACITY = 1000;

/** What happened over a stretch of time. */
interface Figures {
  readonly offered: number;
  readonly sent: number;
  readonly accepted: number;
  /** Calls that the service turned away. */
  readonly rejected: number;
}

/** Clients, each with a throttle of its own, in front of one service that takes so much and turns the rest away. */
class World {
  time = 0;
  /** A class that the service takes nothing of. */
  refuses: Priority | undefined = undefined;
  readonly #random = seededRandom(3);
  readonly #clients: readonly Pipeline[];
  readonly #service = new Bucket({ rate: CAPACITY, per: 1000, burst: CAPACITY / 20 }, CAPACITY / 20, 0);

  constructor(options: ThrottleOptions, clients = CLIENTS) {
    const clock: Clock = Object.assign(Object.create(new VirtualClock()) as VirtualClock, { now: () => this.time });
    this.#clients = Array.from({ length: clients }, (_, i) =>
      pipeline([throttle({ window: WINDOW, ...options })], { clock, random: seededRandom(100 + i) }),
    );
  }

  /** So many windows at this load, calls per second in all. */
  run(windows: number, load: number, priorities: readonly Priority[] = ['critical']): Figures & { served: Map<Priority, number> } {
    let [offered, sent, accepted] = [0, 0, 0];
    const served = new Map<Priority, number>();
    for (const end = this.time + windows * WINDOW; this.time < end; this.time += STEP) {
      for (let arrivals = (load * STEP) / 1000; arrivals > 0; arrivals--) {
        const client = this.#clients[Math.floor(this.#random() * this.#clients.length)] as Pipeline;
        const priority = priorities[offered++ % priorities.length] as Priority;
        const admission = client.tryAcquire({ priority });
        if (!admission.admitted) continue;
        sent++;
        if (priority === this.refuses || this.#service.wait(1, this.time) > 0)
          admission.failure(Object.assign(new Error('busy'), { status: 503 }));
        else {
          this.#service.take(1, this.time);
          accepted++;
          served.set(priority, (served.get(priority) ?? 0) + 1);
          admission.success();
        }
      }
    }
    return { offered, sent, accepted, rejected: sent - accepted, served };
  }
}

describe('clients that throttle themselves, and a service that takes 1000 calls a second', () => {
  test.each([2, 3, 10])('K = 2 at %d times that: one rejection for each accepted call, and nothing of the capacity is lost', (times) => {
    const world = new World({});
    world.run(2, times * CAPACITY);
    const { rejected, accepted } = world.run(1, times * CAPACITY);
    expect(rejected / accepted).toBeGreaterThan(0.93);
    expect(rejected / accepted).toBeLessThan(1.03);
    expect(accepted).toBeGreaterThan(0.99 * (WINDOW / 1000) * CAPACITY);
  });

  test('K = 1.1, after forty windows: one rejection for ten accepted calls', () => {
    const world = new World({ k: 1.1 });
    world.run(40, 2 * CAPACITY);
    const { rejected, accepted } = world.run(3, 2 * CAPACITY);
    expect(rejected / accepted).toBeGreaterThan(0.085);
    expect(rejected / accepted).toBeLessThan(0.105);
  });

  test('when the load is below the capacity again, nothing is turned away any more, by anybody', () => {
    const world = new World({});
    world.run(3, 5 * CAPACITY);
    world.run(3, 0.8 * CAPACITY);
    const { offered, accepted, rejected } = world.run(3, 0.8 * CAPACITY);
    expect(rejected).toBe(0);
    expect(accepted).toBe(offered);
  });

  test('below the capacity from the start nobody is ever turned away', () => {
    const { offered, accepted } = new World({ k: 1.1 }).run(5, 0.8 * CAPACITY);
    expect(accepted).toBe(offered);
  });

  test('below the capacity again, who fell behind gets K times more with each window: soon all with K = 2, with 1.1 not in ten', () => {
    /** The share of calls served in each of ten windows after an overload. */
    const recovery = (options: ThrottleOptions): number[] => {
      const world = new World(options);
      world.run(6, 3 * CAPACITY);
      return Array.from({ length: 10 }, () => {
        const { offered, accepted } = world.run(1, 0.8 * CAPACITY);
        return accepted / offered;
      });
    };
    const generous = recovery({ k: 2 });
    expect(generous[1]).toBeGreaterThan(0.9);
    expect(generous.slice(2)).toEqual(generous.slice(2).map(() => 1));

    const strict = recovery({ k: 1.1 });
    expect(strict[4]).toBeLessThan(0.9);
    expect(strict[9]).toBeLessThan(1);
    for (let i = 1; i < 10; i++) expect(strict[i]).toBeLessThan((strict[i - 1] as number) * 1.25);

    const forgiving = recovery({ k: 1.1, localRejections: false });
    expect(forgiving.slice(2)).toEqual(forgiving.slice(2).map(() => 1));
  });

  test('what matters more is served first, by a service that knows of no classes: three classes of 600 calls each', () => {
    const world = new World({ k: 1.1 });
    const mix: readonly Priority[] = ['best-effort', 'critical', 'sheddable'];
    world.run(10, 1800, mix);
    const { served, offered } = world.run(3, 1800, mix);
    const of = (priority: Priority): number => (3 * (served.get(priority) ?? 0)) / offered;
    expect(of('critical')).toBeGreaterThan(0.9);
    expect(of('sheddable')).toBeGreaterThan(0.5);
    expect(of('sheddable')).toBeLessThan(0.8);
    expect(of('best-effort')).toBeLessThan(0.1);
  });

  test('and where the service turns away one class alone, the others are sent as ever', () => {
    const world = new World({});
    const mix: readonly Priority[] = ['best-effort', 'critical'];
    world.refuses = 'best-effort';
    world.run(2, 800, mix);
    const { sent, served, offered } = world.run(2, 800, mix);
    expect(served.get('critical')).toBe(offered / 2);
    expect(sent - offered / 2).toBeLessThan(0.12 * (offered / 2));
  });
});
