import { describe, it, mock } from 'node:test';
import * as library from 'breakwater';
import { fakeTimerSuite } from './suite.mjs';

const tool = (name, movesTime, apis) => ({
  name,
  movesTime,
  install: () => mock.timers.enable({ apis }),
  uninstall: () => mock.timers.reset(),
  tick: (ms) => mock.timers.tick(ms),
});

fakeTimerSuite({ describe, it }, tool('node:test', true, ['setTimeout', 'setInterval', 'setImmediate', 'Date']), library);
fakeTimerSuite({ describe, it }, tool('node:test, timers alone', false, ['setTimeout']), library);
