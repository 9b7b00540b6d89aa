import { describe, it } from 'node:test';
import FakeTimers from '@sinonjs/fake-timers';
import * as library from 'breakwater';
import { fakeTimerSuite } from './suite.mjs';

const tool = (name, movesTime, config, how = 'tickAsync') => {
  let clock;
  return {
    name,
    movesTime,
    install: () => void (clock = FakeTimers.install(config)),
    uninstall: () => clock.uninstall(),
    tick: (ms) => clock[how](ms),
    pending: () => clock.countTimers(),
  };
};
const timers = ['setTimeout', 'clearTimeout'];
// With nextTick frozen, node:test itself stands still as soon as a tick goes through the event loop; then only tick() will do.
const allButNextTick = [
  ...timers,
  'setInterval',
  'clearInterval',
  'setImmediate',
  'clearImmediate',
  'Date',
  'performance',
  'hrtime',
  'queueMicrotask',
];

fakeTimerSuite({ describe, it }, tool('sinon', true, { toFake: allButNextTick }), library);
fakeTimerSuite({ describe, it }, tool('sinon, everything, ticked synchronously', true, {}, 'tick'), library);
fakeTimerSuite({ describe, it }, tool('sinon, timers alone', false, { toFake: timers }), library);
fakeTimerSuite({ describe, it }, tool('sinon, timers and Date', true, { toFake: [...timers, 'Date'] }), library);
