import { describe, expect, test } from 'vitest';
import { VirtualClock } from 'breakwater/testing';
import { Call } from '../../src/core/call.ts';
import { noOptions } from '../../src/core/call-options.ts';
import { currentCalls, runAs } from '../../src/core/context.ts';
import { Outlet } from '../../src/core/events.ts';
import { Scope } from '../../src/core/scope.ts';

const scope = new Scope('context', new VirtualClock(), () => 0.5, false, new Outlet());
const call = (): Call => new Call(scope, () => 1, noOptions, true, 0, Infinity);
const callsIn = (maker: Call): Call[] => [...runAs(maker, () => currentCalls())];

describe('the calls that code runs in', () => {
  test('are none outside of any work', () => {
    expect([...currentCalls()]).toEqual([]);
  });

  test('are the current one, those it derives from, and on outward the ones in whose work each was made', () => {
    const [outer, inner] = [call(), call()];
    const [attempt, again] = [outer.derive(), inner.derive()];
    expect(runAs(attempt, () => callsIn(again))).toEqual([again, inner, attempt, outer]);
    expect(callsIn(outer)).toEqual([outer]);
  });

  test('stay known in what the work does later on', async () => {
    const [outer, inner] = [call(), call()];
    const later = runAs(outer, async () => {
      await Promise.resolve();
      return callsIn(inner);
    });
    expect(await later).toEqual([inner, outer]);
  });
});

test('a call is within itself and what it derives from, and within nothing else', () => {
  const outer = call();
  const inner = outer.derive().derive();
  expect([outer.isWithin(outer), inner.isWithin(outer), outer.isWithin(inner), call().isWithin(outer)]).toEqual([true, true, false, false]);
});
