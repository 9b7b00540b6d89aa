import { describe, expect, test } from 'vitest';
import { VirtualClock } from 'breakwater/testing';
import { Call } from '../../src/core/call.ts';
import { noOptions } from '../../src/core/call-options.ts';
import { isWithin, currentCall, makersOf, runAs } from '../../src/core/context.ts';
import { Outlet } from '../../src/core/events.ts';
import { Scope } from '../../src/core/scope.ts';

const scope = new Scope('context', new VirtualClock(), () => 0.5, false, new Outlet());
const call = (): Call => new Call(scope, () => 1, noOptions, true, 0, Infinity);
/** A call made where this code runs. */
const callMade = (): Call => Object.assign(call(), { madeIn: currentCall() });
const makers = (one: Call): Call[] => [...makersOf(one)];

describe('the calls in whose work a call is made', () => {
  test('are none outside of any work', () => {
    expect(makers(callMade())).toEqual([]);
  });

  test('are the current one, those it derives from, and on outward the ones in whose work each was made', () => {
    const outer = call();
    const attempt = outer.derive();
    const inner = runAs(attempt, callMade);
    const again = inner.derive();
    expect(makers(inner)).toEqual([attempt, outer]);
    expect(runAs(again, () => makers(callMade()))).toEqual([again, inner, attempt, outer]);
  });

  test('stay known in what the work does later on', async () => {
    const outer = call();
    const later = runAs(outer, async () => {
      await Promise.resolve();
      return makers(callMade());
    });
    expect(await later).toEqual([outer]);
  });
});

test('a call is within itself and what it derives from, and within nothing else', () => {
  const outer = call();
  const inner = outer.derive().derive();
  expect([isWithin(outer, outer), isWithin(inner, outer), isWithin(outer, inner), isWithin(call(), outer)]).toEqual([
    true,
    true,
    false,
    false,
  ]);
});
