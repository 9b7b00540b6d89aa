import { describe, expect, test } from 'vitest';
import { VirtualClock } from 'breakwater/testing';
import { Call } from '../../src/core/call.ts';
import { noOptions } from '../../src/core/call-options.ts';
import { runAs } from '../../src/core/context.ts';
import { Outlet } from '../../src/core/events.ts';
import { currentCalls, isWithin, noteOrigin } from '../../src/core/origins.ts';
import { Scope } from '../../src/core/scope.ts';

const scope = new Scope('origins', new VirtualClock(), () => 0.5, false, new Outlet());
const call = (): Call => new Call(scope, () => 1, noOptions, true, 0, Infinity);
const callsIn = (maker: Call): Call[] => [...runAs(maker, () => currentCalls())];

describe('the calls that code runs in', () => {
  test('are none outside of any work', () => {
    expect([...currentCalls()]).toEqual([]);
  });

  test('are the current one, those it derives from, and on outward the ones in whose work each was made', () => {
    const [outer, inner] = [call(), call()];
    const [attempt, again] = [outer.derive(), inner.derive()];
    runAs(attempt, () => noteOrigin(again));
    expect(callsIn(again)).toEqual([again, inner, attempt, outer]);
    expect(callsIn(outer)).toEqual([outer]);
  });

  test('stay known when the call comes by again in a context that knows of none', () => {
    const [outer, inner] = [call(), call()];
    runAs(outer, () => noteOrigin(inner));
    noteOrigin(inner);
    expect(callsIn(inner)).toEqual([inner, outer]);
  });

  test('end even if two calls were made in each other, as work that is passed around can bring about', () => {
    const [one, two] = [call(), call()];
    runAs(one, () => noteOrigin(two));
    runAs(two, () => noteOrigin(one));
    expect(callsIn(one)).toEqual([one, two]);
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
