/** Six policies around a call, outermost first, and what they do to one that keeps failing. */

import { bulkhead, circuitBreaker, fallback, pipeline, retry, timeout, tokenBucket } from 'breakwater';

const breaker = circuitBreaker({ consecutiveFailures: 4, openFor: '1m' });
const inventory = pipeline(
  [
    fallback({ value: { pieces: 0, known: false } }), // something lesser when nothing helps
    retry({ maxAttempts: 2, backoff: { delay: '1ms' } }), // once more, a little later
    breaker, // not at all while it is known to be broken
    bulkhead({ maxConcurrent: 20, maxQueue: 50, maxWait: '200ms' }), // so many at once
    tokenBucket({ rate: 100, burst: 20 }), // so many a second
    timeout({ after: '1s' }), // so long for each attempt
  ],
  { name: 'inventory' },
);

console.log(await inventory.execute(() => ({ pieces: 7, known: true }))); // => { pieces: 7, known: true }

let ran = 0;
const broken = (): never => {
  ran++;
  throw new Error('out of order');
};
for (let user = 0; user < 10; user++) await inventory.execute(broken);
console.log(ran, breaker.state); // => 4 open

const outcome = await inventory.executeOutcome(broken);
console.log(outcome); // => { ok: true, value: { pieces: 0, known: false }, degraded: true }

// What stands around what, and whether the order is doubtful.
const order = inventory.describe().layers.map(({ kind }) => kind);
console.log(order.join(' > ')); // => fallback > retry > circuit-breaker > bulkhead > token-bucket > timeout
console.log(inventory.lint()); // => []
