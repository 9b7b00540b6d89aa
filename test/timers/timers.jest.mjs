import { jest } from '@jest/globals';
import * as library from 'breakwater';
import { fakeTimerSuite } from './suite.mjs';

const tool = (name, movesTime, config, how = 'advanceTimersByTimeAsync') => ({
  name,
  movesTime,
  install: () => void jest.useFakeTimers(config),
  uninstall: () => void jest.useRealTimers(),
  tick: (ms) => jest[how](ms),
  pending: () => jest.getTimerCount(),
});

const runner = { describe: globalThis.describe, it: globalThis.it };
const all = [
  'Date',
  'hrtime',
  'nextTick',
  'performance',
  'queueMicrotask',
  'setImmediate',
  'clearImmediate',
  'setInterval',
  'clearInterval',
];
fakeTimerSuite(runner, tool('jest', true, {}), library);
fakeTimerSuite(runner, tool('jest, ticked synchronously', true, {}, 'advanceTimersByTime'), library);
fakeTimerSuite(runner, tool('jest, timers alone', false, { doNotFake: all }), library);
fakeTimerSuite(runner, tool('jest, all but performance', true, { doNotFake: ['performance'] }), library);
