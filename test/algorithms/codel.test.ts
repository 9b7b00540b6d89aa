import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Codel, StandardCodel } from '../../src/algorithms/codel.ts';

const settings = { target: 5, interval: 100 };

/** The dequeue routine of RFC 8289, section 5, on a queue of arrival times: the times at which it drops. */
class Router {
  readonly drops: number[] = [];
  readonly queue: number[] = [];
  #firstAbove = 0;
  #next = 0;
  #count = 0;
  #last = 0;
  #dropping = false;

  /** Takes one packet for the link; answers with its arrival time. */
  dequeue(now: number): number | undefined {
    let [packet, late] = this.#take(now);
    if (this.#dropping) {
      if (!late) this.#dropping = false;
      while (this.#dropping && now >= this.#next) {
        this.drops.push(now);
        this.#count++;
        [packet, late] = this.#take(now);
        if (!late) this.#dropping = false;
        else this.#next += 100 / Math.sqrt(this.#count);
      }
    } else if (late) {
      this.drops.push(now);
      [packet] = this.#take(now);
      this.#dropping = true;
      const delta = this.#count - this.#last;
      this.#count = delta > 1 && now - this.#next < 1600 ? delta : 1;
      this.#next = now + 100 / Math.sqrt(this.#count);
      this.#last = this.#count;
    }
    return packet;
  }

  #take(now: number): [number | undefined, boolean] {
    const packet = this.queue.shift();
    if (packet === undefined || now - packet < 5) {
      this.#firstAbove = 0;
      return [packet, false];
    }
    if (this.#firstAbove === 0) {
      this.#firstAbove = now + 100;
      return [packet, false];
    }
    return [packet, now >= this.#firstAbove];
  }
}

describe('the standard law', () => {
  test('drops at the very times at which the routine of RFC 8289 does, whatever comes (A6)', () => {
    const trace = fc.array(fc.record({ after: fc.integer({ min: 1, max: 30 }), come: fc.integer({ min: 0, max: 4 }) }), {
      minLength: 50,
      maxLength: 400,
    });
    let dropped = 0;
    fc.assert(
      fc.property(trace, (steps) => {
        const router = new Router();
        const control = new StandardCodel(settings);
        const queue: number[] = [];
        const drops: number[] = [];
        let now = 1;
        for (const { after, come } of steps) {
          now += after;
          for (let i = 0; i < come; i++) {
            queue.push(now - i);
            router.queue.push(now - i);
          }
          const sent = router.dequeue(now);
          let mine = queue.shift();
          while (mine !== undefined && control.sheds(now - mine, now)) {
            drops.push(now);
            mine = queue.shift();
          }
          if (mine === undefined) control.idle();
          expect(mine).toBe(sent);
          expect(drops).toEqual(router.drops);
        }
        dropped += drops.length;
      }),
    );
    expect(dropped).toBeGreaterThan(1000);
  });

  test('lets go faster and faster while the queue stands: after 100 ms, then 100, 71, 58, 50 ms (A6)', () => {
    const control = new StandardCodel(settings);
    const drops: number[] = [];
    for (let now = 1; now < 600; now++) if (control.sheds(50, now)) drops.push(now);
    expect(drops).toEqual([101, 201, 272, 330, 380, 425, 465, 503, 539, 572]);
  });

  test('begins anew once a slot came free with nobody waiting', () => {
    const control = new StandardCodel(settings);
    expect([1, 50].map((now) => control.sheds(50, now))).toEqual([false, false]);
    control.idle();
    expect([101, 150, 202].map((now) => control.sheds(50, now))).toEqual([false, false, true]);
  });
});

describe("folly's law", () => {
  test('leaves a burst alone that is gone within the interval', () => {
    const control = new Codel(settings);
    control.idle();
    expect([80, 60, 40, 20, 4].map((delay, i) => control.sheds(delay, 10 + i))).toEqual([false, false, false, false, false]);
    expect([50, 40].map((delay) => control.sheds(delay, 250))).toEqual([false, false]);
  });

  test('lets all go who waited twice the target, in the interval after one in which even the shortest wait was above it', () => {
    const control = new Codel(settings);
    for (let now = 1; now <= 102; now += 10) control.sheds(30, now);
    control.sheds(30, 200);
    expect([11, 10, 30, 9].map((delay) => control.sheds(delay, 210))).toEqual([true, false, true, false]);
    // The shortest wait was 9 ms, so it goes on; the first is let through.
    expect([30, 30].map((delay) => control.sheds(delay, 310))).toEqual([false, true]);
  });

  test('takes a slot that came free with nobody waiting as a wait of nothing', () => {
    const control = new Codel(settings);
    for (let now = 1; now <= 110; now += 10) control.sheds(30, now);
    expect(control.sheds(30, 111)).toBe(true);
    control.idle();
    expect([30, 30].map((delay) => control.sheds(delay, 230))).toEqual([false, false]);
  });

  test('never lets the first of an interval go, so that somebody always comes through', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ after: fc.integer({ min: 101, max: 500 }), delay: fc.integer({ min: 0, max: 1000 }) })), (steps) => {
        const control = new Codel(settings);
        let now = 1;
        for (const { after, delay } of steps) expect(control.sheds(delay, (now += after))).toBe(false);
      }),
    );
  });
});
