/** Fakes that are installed before the library is loaded. One process for each: FIRST says which. */

import assert from 'node:assert/strict';
import { mock, test } from 'node:test';
import FakeTimers from '@sinonjs/fake-timers';

const timers = ['setTimeout', 'clearTimeout'];
const sinon = (config) => {
  const clock = FakeTimers.install(config);
  return { tick: (ms) => clock.tick(ms), uninstall: () => clock.uninstall() };
};
const nodeTest = (apis) => {
  mock.timers.enable({ apis });
  return { tick: (ms) => mock.timers.tick(ms), uninstall: () => mock.timers.reset() };
};
const tools = {
  sinon: { install: () => sinon({}), movesTime: true },
  'sinon, timers alone': { install: () => sinon({ toFake: timers }), movesTime: false },
  'sinon, timers and Date': { install: () => sinon({ toFake: [...timers, 'Date'] }), movesTime: true },
  'node:test': { install: () => nodeTest(['setTimeout', 'Date']), movesTime: true },
  'node:test, timers alone': { install: () => nodeTest(['setTimeout']), movesTime: false },
};
const name = process.env.FIRST ?? 'sinon';
const { install, movesTime } = tools[name];

test(`a library that is loaded under fake timers goes by them, and by real ones when they are gone: ${name}`, async () => {
  const tool = install();
  let library;
  try {
    library = await import('breakwater');
    const { pipeline, timeout, tokenBucket } = library;
    const call = pipeline([timeout({ after: 100 })]).executeOutcome(() => new Promise(() => undefined));
    tool.tick(100);
    assert.equal((await call).error?.code, 'ERR_TIMEOUT');
    if (movesTime) {
      const limited = pipeline([tokenBucket({ rate: 1, per: '1s', burst: 1 })]);
      assert.deepEqual([limited.tryAcquire().admitted, limited.tryAcquire().admitted], [true, false]);
      tool.tick(1000);
      assert.equal(limited.tryAcquire().admitted, true, 'a token should have come back with the faked time');
    }
  } finally {
    tool.uninstall();
  }
  const { pipeline, timeout } = library;
  const outcome = await pipeline([timeout({ after: 20 })]).executeOutcome(() => new Promise(() => undefined));
  assert.equal(outcome.error?.code, 'ERR_TIMEOUT', 'real timers should work once the fakes are gone');
});
