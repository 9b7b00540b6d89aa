import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { VirtualClock } from 'breakwater/testing';
import { pipeline } from 'breakwater';
import { type Throttle, type ThrottleOptions, throttle } from '../../src/policies/throttle.ts';
import { type VectorFile, replay } from './replay.mjs';

type Input =
  | { readonly fn: 'sreReject'; readonly requests: number; readonly accepts: number; readonly K: number }
  | {
      readonly fn: 'rejectionRate';
      readonly executions: number;
      readonly successes: number;
      readonly successThreshold: number;
      readonly max: number;
      readonly minExecutions: number;
    }
  | { readonly fn: 'sreCertain'; readonly success: number; readonly total: number; readonly K: number; readonly minRequests: number };

/** A throttle that has seen so many calls, chance having let them all through. */
function seen(options: ThrottleOptions, requests: number, accepts: number): Throttle {
  const policy = throttle(options);
  const p = pipeline([policy], { clock: new VirtualClock(), random: () => 1 - 2 ** -32 });
  for (let i = 0; i < requests; i++) {
    const admission = p.tryAcquire();
    if (!admission.admitted) throw new Error('chance should have let it through');
    // What is accepted comes first: so many have been sent before the service had enough.
    if (i < accepts) admission.success();
    else admission.failure(Object.assign(new Error('busy'), { status: 503 }));
  }
  return policy;
}

const adapter = {
  make: () => expect.fail('none of these cases has steps'),
  fn(input: Input) {
    switch (input.fn) {
      case 'sreReject':
        return { p: seen({ k: input.K, minRequests: 0, maxRejection: 1 }, input.requests, input.accepts).rejectionProbability };
      case 'rejectionRate': {
        const { executions, successes, successThreshold, max, minExecutions } = input;
        const options = { successTarget: successThreshold, maxRejection: max, minRequests: minExecutions };
        return { p: seen(options, executions, successes).rejectionProbability };
      }
      case 'sreCertain': {
        const { success, total, K, minRequests } = input;
        return { mayReject: seen({ k: K, minRequests, maxRejection: 1 }, total, success).rejectionProbability > 0 };
      }
    }
  },
};

test('third-party vectors 17: the rejection probability of the SRE book, failsafe-go and kratos', async () => {
  const file = JSON.parse(readFileSync(new URL('17-codel-shedding.json', import.meta.url), 'utf8')) as VectorFile;
  const cases = file.cases.filter((each) => ['sreReject', 'rejectionRate', 'sreCertain'].includes((each as { in?: Input }).in?.fn ?? ''));
  const result = await replay({ ...file, cases }, adapter);
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(13);
});
