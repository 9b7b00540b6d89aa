/** One policy around one function: try again, with growing and random waits between the attempts. */

import { pipeline, retry } from 'breakwater';

const persistent = pipeline([retry({ maxAttempts: 4, backoff: { delay: '5ms', maxDelay: '20ms' } })]);

/** Fails twice, then works. */
let asked = 0;
async function flaky(): Promise<string> {
  asked++;
  await Promise.resolve();
  if (asked < 3) throw new Error(`attempt ${asked} failed`);
  return `attempt ${asked} worked`;
}

console.log(await persistent.execute(flaky)); // => attempt 3 worked

// The same function, guarded once and for all: same parameters, same result.
const sturdy = persistent.wrap(flaky);
console.log(await sturdy()); // => attempt 4 worked
