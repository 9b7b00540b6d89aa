/** Testing what takes minutes in no time: a clock that moves when told to, and chance that repeats itself. */

import { circuitBreaker, pipeline, retry } from 'breakwater';
import { VirtualClock, seededRandom } from 'breakwater/testing';

const clock = new VirtualClock();
const breaker = circuitBreaker({ consecutiveFailures: 3, openFor: '10m' });
const patient = pipeline([retry({ maxAttempts: 3, backoff: { delay: '1m', maxDelay: '5m', jitter: 'none' } }), breaker], {
  clock,
  random: seededRandom(1),
});

const outcome = patient.executeOutcome(() => Promise.reject(new Error('down')));
await clock.advance('59s');
console.log(breaker.state, clock.pending); // => closed 1
await clock.advance('3m'); // one minute, then two
console.log((await outcome).ok, breaker.state, clock.pending); // => false open 0

await clock.advance('10m');
console.log(await patient.execute(() => 'up again'), breaker.state); // => up again half-open
