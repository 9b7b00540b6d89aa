import { describe, expect, test } from 'vitest';
import { type Call, type Gate, type GatePolicy, definePolicy, pipeline, refuse, retry, timeout } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

const error = new Error('down');
const never = (): Promise<never> => new Promise(() => undefined);

/** A gate that writes down what it is told. */
function scribe(kind: string, log: string[], gate: Partial<Gate<string>> = {}): GatePolicy {
  return definePolicy<string>({
    kind,
    gate: {
      enter: (call, now) => (log.push(`${kind} enter@${now}${call.attempt > 1 ? `#${call.attempt}` : ''}`), kind),
      settle: (pass, outcome, now) => log.push(`${pass} settle@${now} ${outcome instanceof Object ? 'failed' : String(outcome)}`),
      cancel: (pass, now) => log.push(`${pass} cancel@${now}`),
      ...gate,
    },
  });
}

describe('gates in one frame', () => {
  test('are entered outermost first and settled innermost first, each once (law 2)', async () => {
    const log: string[] = [];
    await pipeline([scribe('a', log), scribe('b', log), scribe('c', log)], { clock: new VirtualClock() }).execute(() => 'ok');
    expect(log).toEqual(['a enter@0', 'b enter@0', 'c enter@0', 'c settle@0 ok', 'b settle@0 ok', 'a settle@0 ok']);
  });

  test('are told what time it is after a wait, also inside one that waits and goes on with a call of its own', async () => {
    const log: string[] = [];
    const clock = new VirtualClock();
    const patient = definePolicy<{ readonly inner: Call }>({
      kind: 'patient',
      gate: {
        enter: async (call) => {
          const inner = call.derive();
          await new Promise<void>((resolve) => clock.setTimeout(resolve, 500));
          return { inner };
        },
        settle: () => undefined,
        cancel: () => undefined,
        narrows: true,
      },
    });
    await clock.until(pipeline([patient, scribe('inside', log), timeout({ after: 100 })], { clock }).execute(() => 'ok'));
    expect(log[0]).toBe('inside enter@500');
  });

  test('get back what they gave when one inside refuses; that one is told nothing', async () => {
    const log: string[] = [];
    await pipeline([scribe('a', log), scribe('b', log), scribe('c', log, { enter: () => refuse(error) })], { clock: new VirtualClock() })
      .execute(() => 'ok')
      .catch(() => undefined);
    expect(log).toEqual(['a enter@0', 'b enter@0', 'b cancel@0', 'a cancel@0']);
  });

  test('judge a call by whether its work ran, however the refusal came about', async () => {
    const log: string[] = [];
    let calls = 0;
    const second = scribe('inner', log, { enter: () => (++calls === 1 ? 'inner' : refuse(error)) });
    await pipeline([scribe('outer', log), retry({ backoff: { delay: 0 } }), second], { clock: new VirtualClock() })
      .execute(() => Promise.reject(error))
      .catch(() => undefined);
    expect(log).toEqual(['outer enter@0', 'inner settle@0 failed', 'outer settle@0 failed']);
  });

  test('read the clock anew after a wait', async () => {
    const clock = new VirtualClock();
    const log: string[] = [];
    const slow = scribe('slow', log, {
      enter: (call) => new Promise((resolve) => void call.scope.clock.setTimeout(() => resolve('slow'), 50)),
    });
    const done = pipeline([scribe('a', log), slow, scribe('b', log)], { clock }).execute(() => 'ok');
    await clock.advance(50);
    await done;
    expect(log).toEqual(['a enter@0', 'b enter@50', 'b settle@50 ok', 'slow settle@50 ok', 'a settle@50 ok']);
  });

  test('that throw on entering fail the call with that error; those outside get back what they gave', async () => {
    const log: string[] = [];
    const broken = scribe('broken', log, {
      enter: () => {
        throw error;
      },
    });
    await expect(pipeline([scribe('a', log), broken], { clock: new VirtualClock() }).execute(() => 'ok')).rejects.toBe(error);
    const rejecting = scribe('rejecting', log, { enter: () => Promise.reject(error) });
    await expect(pipeline([scribe('b', log), rejecting], { clock: new VirtualClock() }).execute(() => 'ok')).rejects.toBe(error);
    expect(log).toEqual(['a enter@0', 'a cancel@0', 'b enter@0', 'b cancel@0']);
  });

  test('that throw on settling change nothing; the others are still told (G5)', async () => {
    const log: string[] = [];
    const events: string[] = [];
    const throwing = (): never => {
      throw error;
    };
    const built = pipeline([scribe('a', log), scribe('b', log, { settle: throwing, cancel: throwing }), scribe('c', log)], {
      clock: new VirtualClock(),
      on: ({ type }) => events.push(type),
    });
    expect(await built.execute(() => 'ok')).toBe('ok');
    expect(log.slice(3)).toEqual(['c settle@0 ok', 'a settle@0 ok']);
    expect(events).toEqual(['pipeline.callback-failed', 'pipeline.settled']);
  });

  test('whose pass came in the same tick as an abort get it back, and the work never starts', async () => {
    const clock = new VirtualClock();
    const log: string[] = [];
    const caller = new AbortController();
    let admit: ((pass: string) => void) | undefined;
    const queue = scribe('queue', log, {
      enter: (call) => new Promise((resolve) => ((admit = resolve), (call.waiter = resolve as never))),
    });
    const done = pipeline([queue, scribe('inner', log)], { clock }).execute(() => log.push('work'), { signal: caller.signal });
    admit?.('queue');
    caller.abort(error);
    await expect(done).rejects.toBe(error);
    expect(log).toEqual(['queue cancel@0']);
  });

  test('that hold for the work are told when it really ends; the others at once (law 6)', async () => {
    const clock = new VirtualClock();
    const log: string[] = [];
    let finish: ((value: string) => void) | undefined;
    const held = pipeline(
      [scribe('a', log), scribe('slot', log, { until: 'work' }), timeout({ after: 10 }), scribe('deep', log, { until: 'work' })],
      { clock },
    );
    const done = held.execute(() => new Promise((resolve) => (finish = resolve))).catch(() => undefined);
    await clock.advance(10);
    await done;
    await clock.advance(90);
    finish?.('late');
    await clock.advance(0);
    expect(log.slice(3)).toEqual(['a settle@10 failed', 'deep settle@100 failed', 'slot settle@100 failed']);
  });

  test('hold for every attempt that was left behind, not only the last', async () => {
    const clock = new VirtualClock();
    const log: string[] = [];
    const finish: (() => void)[] = [];
    const held = pipeline(
      [scribe('slot', log, { until: 'work' }), retry({ maxAttempts: 2, backoff: { delay: 0 } }), timeout({ after: 10 })],
      { clock },
    );
    const done = held.execute(() => new Promise<void>((resolve) => finish.push(resolve))).catch(() => undefined);
    await clock.advance(20);
    await done;
    finish[1]?.();
    await clock.advance(5);
    expect(log).toEqual(['slot enter@0']);
    finish[0]?.();
    await clock.advance(0);
    expect(log).toEqual(['slot enter@0', 'slot settle@25 failed']);
  });

  test('an attempt left behind inside a retry is settled on its own', async () => {
    const clock = new VirtualClock();
    const log: string[] = [];
    const finish: (() => void)[] = [];
    const held = pipeline(
      [retry({ maxAttempts: 2, backoff: { delay: 0 } }), scribe('slot', log, { until: 'work' }), timeout({ after: 10 })],
      { clock },
    );
    const done = held.execute(() => new Promise<void>((resolve) => finish.push(resolve))).catch(() => undefined);
    await clock.advance(20);
    await done;
    finish[1]?.();
    await clock.advance(0);
    expect(log).toEqual(['slot enter@0', 'slot enter@10#2', 'slot settle@20 failed']);
  });
});

describe('a nested call of a driver', () => {
  test('gets a call of its own for each time it goes inward, with the present time', async () => {
    const clock = new VirtualClock();
    const log: string[] = [];
    const twice = definePolicy({
      kind: 'twice',
      mount: (next, scope) => async (call) => {
        await next(call);
        await new Promise<void>((resolve) => void scope.clock.setTimeout(resolve, 30));
        return await next(call);
      },
    });
    const done = pipeline([twice, scribe('a', log)], { clock }).execute(() => 'ok');
    await clock.advance(30);
    expect(await done).toBe('ok');
    expect(log).toEqual(['a enter@0', 'a settle@0 ok', 'a enter@30', 'a settle@30 ok']);
  });

  test('that hangs is still cut by the timeout around it (G1)', async () => {
    const clock = new VirtualClock();
    const hanging = definePolicy({ kind: 'hanging', mount: () => never });
    const done = pipeline([timeout({ after: 10 }), hanging], { clock }).execute(() => 'ok');
    const outcome = done.catch((reason: unknown) => reason);
    await clock.advance(10);
    expect(await outcome).toMatchObject({ code: 'ERR_TIMEOUT' });
    expect(clock.pending).toBe(0);
  });

  test('that throws or rejects fails the call instead of the process', async () => {
    for (const broken of [
      () => {
        throw error;
      },
      () => Promise.reject(error),
    ]) {
      await expect(pipeline([definePolicy({ kind: 'broken', mount: () => broken })]).execute(() => 'ok')).rejects.toBe(error);
    }
  });
});

test('async stacks: an error thrown after an await in the work names its callers through a whole stack (law 9)', async () => {
  const log: string[] = [];
  const stacked = pipeline([retry({ maxAttempts: 1 }), scribe('a', log), timeout({ after: '1h' }), scribe('b', log)], {
    clock: new VirtualClock(),
  });
  async function theWork(): Promise<never> {
    await Promise.resolve();
    throw new Error('deep');
  }
  async function theCaller(): Promise<unknown> {
    return await stacked.execute(() => theWork());
  }
  const reason = (await theCaller().catch((thrown: unknown) => thrown)) as Error;
  expect(reason.stack).toMatch(/at (async )?theWork/);
  expect(reason.stack).toMatch(/at (async )?theCaller/);
});
