/**
 * What must hold under every fake-timer tool, without a clock option. One source for vitest, jest, sinon and node:test: the runner
 * lends its `describe` and `it`, the tool its ways to install, tick and count.
 */

import assert from 'node:assert/strict';

/** Promise jobs run under every tool, whatever else it freezes. */
const flush = async () => {
  for (let turn = 0; turn < 100; turn++) await Promise.resolve();
};

const watch = (promise) => {
  const seen = { state: 'pending' };
  promise.then(
    (value) => Object.assign(seen, { state: 'resolved', value }),
    (error) => Object.assign(seen, { state: 'rejected', error, code: error?.code }),
  );
  return seen;
};

const hang = () => new Promise(() => undefined);
const beyond = 2 ** 31;

/**
 * @param {object} runner describe, it
 * @param {object} tool name; install(); uninstall(); tick(ms), may be asynchronous; pending(), the number of timers set, if it can tell;
 *   movesTime, whether ticking moves what the clock reads as well as timers
 * @param {object} library the package under test
 */
export function fakeTimerSuite({ describe, it }, tool, library) {
  const { pipeline, timeout, retry, circuitBreaker, bulkhead, tokenBucket, leakyBucket } = library;
  const tick = async (ms) => {
    await flush();
    await tool.tick(ms);
    await flush();
  };
  const nothingLeft = () => {
    if (tool.pending !== undefined) assert.equal(tool.pending(), 0, 'timers are left');
  };
  const test = (title, run) =>
    it(title, async () => {
      tool.install();
      try {
        await run();
      } finally {
        tool.uninstall();
      }
    });
  const timed = (title, run) => (tool.movesTime ? test(title, run) : undefined);

  describe(`fake timers of ${tool.name}`, () => {
    test('a timeout expires at its time and not before', async () => {
      const call = watch(pipeline([timeout({ after: 100 })]).execute(hang));
      await tick(99);
      assert.equal(call.state, 'pending');
      await tick(1);
      assert.equal(call.code, 'ERR_TIMEOUT');
      nothingLeft();
    });

    test('a timer is there in the same tick as the call, so ticking at once is enough', async () => {
      const quick = pipeline([timeout({ after: 100 })]);
      const call = watch(quick.execute(hang));
      if (tool.pending !== undefined) assert.equal(tool.pending(), 1, 'the timer should be set at once');
      await tool.tick(100);
      await flush();
      assert.equal(call.code, 'ERR_TIMEOUT');
      const again = watch(quick.execute(hang));
      await tool.tick(100);
      await flush();
      assert.equal(again.code, 'ERR_TIMEOUT');
    });

    test('calls under one timeout expire each at its own time', async () => {
      const quick = pipeline([timeout({ after: 100 })]);
      const first = watch(quick.execute(hang));
      await tick(60);
      const second = watch(quick.execute(hang));
      await tick(40);
      assert.deepEqual([first.state, second.state], ['rejected', 'pending']);
      await tick(60);
      assert.equal(second.state, 'rejected');
      nothingLeft();
    });

    test('work that answers in time leaves no timer', async () => {
      const call = watch(pipeline([timeout({ after: 100 }), timeout({ after: 50 })]).execute(async () => 7));
      await flush();
      assert.deepEqual([call.state, call.value], ['resolved', 7]);
      nothingLeft();
      await tick(1000);
      assert.equal(call.value, 7);
    });

    test('a retry waits as long as its schedule says', async () => {
      let runs = 0;
      const work = () => {
        if (++runs < 4) throw new Error('not yet');
        return runs;
      };
      const schedule = { delay: 100, factor: 2, jitter: 'none' };
      const call = watch(pipeline([retry({ maxAttempts: 4, backoff: schedule })]).execute(work));
      for (const [before, delay] of [
        [1, 100],
        [2, 200],
        [3, 400],
      ]) {
        await tick(delay - 1);
        assert.equal(runs, before);
        await tick(1);
        assert.equal(runs, before + 1);
      }
      assert.deepEqual([call.state, call.value], ['resolved', 4]);
      nothingLeft();
    });

    test('an abort ends a backoff at once and leaves no timer', async () => {
      const caller = new AbortController();
      const steady = pipeline([retry({ backoff: { delay: '1h', maxDelay: '1h', jitter: 'none' } })]);
      const call = watch(steady.execute(() => Promise.reject(new Error('no')), { signal: caller.signal }));
      await tick(10);
      assert.equal(call.state, 'pending');
      caller.abort('enough');
      await flush();
      assert.deepEqual([call.state, call.error], ['rejected', 'enough']);
      nothingLeft();
    });

    test('a call waits in the queue of a bulkhead for as long as maxWait', async () => {
      const single = pipeline([bulkhead({ maxConcurrent: 1, maxQueue: 5, maxWait: 50 })]);
      let end;
      const first = watch(single.execute(() => new Promise((resolve) => (end = resolve))));
      const second = watch(single.execute(() => 2));
      await tick(49);
      assert.equal(second.state, 'pending');
      await tick(1);
      assert.equal(second.code, 'ERR_QUEUE_TIMEOUT');
      const third = watch(single.execute(() => 3));
      end(1);
      await flush();
      assert.deepEqual([first.value, third.value], [1, 3]);
      nothingLeft();
    });

    test('a call waits for its token', async () => {
      const limited = pipeline([tokenBucket({ rate: 10, per: '1s', burst: 1, maxWait: '1s' })]);
      const calls = [1, 2, 3].map((value) => watch(limited.execute(() => value)));
      await flush();
      assert.deepEqual(
        calls.map(({ state }) => state),
        ['resolved', 'pending', 'pending'],
      );
      await tick(100);
      await tick(100);
      assert.deepEqual(
        calls.map(({ state }) => state),
        ['resolved', 'resolved', 'resolved'],
      );
      nothingLeft();
    });

    timed('tokens come back with time', async () => {
      const limited = pipeline([tokenBucket({ rate: 2, per: '1s', burst: 2 })]);
      const admitted = () => [1, 2, 3].filter(() => limited.tryAcquire().admitted).length;
      assert.equal(admitted(), 2);
      await tick(499);
      assert.equal(admitted(), 0);
      await tick(1);
      assert.equal(admitted(), 1);
      await tick(60_000);
      assert.equal(admitted(), 2);
      nothingLeft();
    });

    test('a leaky bucket spaces calls', async () => {
      const spaced = pipeline([leakyBucket({ rate: 10, per: '1s', maxQueueTime: '1s' })]);
      const calls = [1, 2].map((value) => watch(spaced.execute(() => value)));
      await tick(tool.movesTime ? 99 : 90);
      assert.equal(calls[0].value, 1);
      if (tool.movesTime) assert.equal(calls[1].state, 'pending');
      await tick(10);
      assert.equal(calls[1].value, 2);
      nothingLeft();
    });

    timed('a circuit stays open for its time, then lets a probe through', async () => {
      const circuit = circuitBreaker({ consecutiveFailures: 2, openFor: '5s', halfOpen: { calls: 1 } });
      const guarded = pipeline([circuit]);
      for (let i = 0; i < 2; i++) watch(guarded.execute(() => Promise.reject(new Error('down'))));
      await flush();
      assert.equal(circuit.state, 'open');
      await tick(4_000);
      const early = watch(guarded.execute(() => 1));
      await flush();
      assert.equal(early.code, 'ERR_CIRCUIT_OPEN');
      await tick(60_000);
      const probe = watch(guarded.execute(() => 2));
      await flush();
      assert.equal(probe.value, 2);
      assert.equal(circuit.state, 'closed');
      nothingLeft();
    });

    test('a call ends at its deadline, in a queue and while it runs', async () => {
      const single = pipeline([bulkhead({ maxConcurrent: 1, maxQueue: 5 })]);
      const running = watch(single.execute(hang, { deadline: '2s' }));
      const queued = watch(single.execute(hang, { deadline: '1s' }));
      await tick(1000);
      assert.deepEqual([running.state, queued.code], ['pending', 'ERR_DEADLINE']);
      await tick(1000);
      assert.equal(running.code, 'ERR_TIMEOUT');
      nothingLeft();
    });

    test('waits beyond 2^31 ms are not cut short', async () => {
      const patient = watch(pipeline([timeout({ after: beyond + 500 })]).execute(hang));
      let runs = 0;
      const delay = { delay: beyond + 500, maxDelay: Infinity, jitter: 'none' };
      const slow = watch(
        pipeline([retry({ backoff: delay })]).execute(() => {
          if (++runs === 1) throw new Error('again');
          return runs;
        }),
      );
      await tick(beyond - 1);
      assert.deepEqual([patient.state, slow.state], ['pending', 'pending']);
      await tick(500);
      assert.deepEqual([patient.state, slow.state], ['pending', 'pending']);
      await tick(1);
      assert.deepEqual([patient.code, slow.value], ['ERR_TIMEOUT', 2]);
      nothingLeft();
    });

    test('closing waits for its drain', async () => {
      const closing = pipeline([timeout({ after: '1h' })]);
      const call = watch(closing.execute(hang));
      const closed = watch(closing.close({ drain: '5s' }));
      await tick(4999);
      assert.deepEqual([closed.state, call.state], ['pending', 'pending']);
      await tick(1);
      assert.deepEqual([closed.state, call.code], ['resolved', 'ERR_SHUTDOWN']);
      nothingLeft();
    });

    it('pipelines that were made and used before go on when time is faked, and when it is real again', async () => {
      const limited = pipeline([tokenBucket({ rate: 10, per: '1s', burst: 1, maxWait: '10s' }), timeout({ after: '1m' })]);
      assert.equal(await limited.execute(() => 'real'), 'real');
      tool.install();
      try {
        const call = watch(limited.execute(() => 'fake'));
        await tick(100);
        await tick(100);
        assert.equal(call.value, 'fake', 'a wait should end after its time, although the clock may have gone back');
        nothingLeft();
      } finally {
        tool.uninstall();
      }
      assert.equal(await limited.execute(() => 'real again'), 'real again');
    });
  });
}
