import { expect, test } from 'vitest';
import { pipeline } from 'breakwater';
import { fromPRetryOptions } from 'breakwater/p-retry';
import { VirtualClock } from 'breakwater/testing';

/** A clock as clocks are: whoever looks twice sees that it has gone on. */
class TickingClock extends VirtualClock {
  #readings = 0;

  override now(): number {
    return super.now() + ++this.#readings / 1000;
  }
}

test('the last attempt that maxRetryTime leaves time for is made, though deciding on it takes some, too', async () => {
  // The wait was all that was left of the time. A look at the clock later it was too long by some microseconds, and the attempt was given up.
  const clock = new TickingClock();
  const begun: number[] = [];
  const down = (): never => {
    begun.push(Math.round(clock.now()));
    throw new Error('down');
  };
  const steady = pipeline([...fromPRetryOptions({ minTimeout: 60, maxRetryTime: 100 })], { clock });
  await clock.until(steady.execute(down).catch(() => undefined));
  expect(begun).toEqual([0, 60, 100]);
});
