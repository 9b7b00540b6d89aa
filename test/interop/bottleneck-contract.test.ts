import { bottleneckLimiter } from 'breakwater/bottleneck';
import { policyContract } from 'breakwater/testing';
import { describe, it } from 'vitest';
import { ProcessClock } from '../support/process-clock.ts';
import { exceptions } from './bottleneck-exceptions.ts';
import { useTurns } from './bottleneck-turns.ts';

useTurns();

policyContract(() => bottleneckLimiter({}), {
  describe,
  it,
  waits: () => bottleneckLimiter({ maxConcurrent: 1 }),
  refuses: () => bottleneckLimiter({ maxConcurrent: 0 }),
  factory: { create: bottleneckLimiter, options: { maxConcurrent: 5, minTime: 0, highWater: 10, id: 'api' } },
  clock: () => new ProcessClock(),
  exceptions,
});
