/** For `scripts/test-timers.mjs`: the built package under jest, as native ES modules. */
export default {
  rootDir: import.meta.dirname,
  testEnvironment: 'node',
  testMatch: ['<rootDir>/*.jest.mjs'],
  transform: {},
};
