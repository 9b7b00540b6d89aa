/** What the compiler knows about breakers of opossum as policies. Nothing here runs. */

import CircuitBreaker from 'opossum';
import { type Call, perKey, pipeline, retry } from 'breakwater';
import { type Opossum, type OpossumBreaker, type OpossumOptions, type OpossumState, opossumBreaker } from 'breakwater/opossum';
import { same, typed } from './equal.ts';

interface User {
  readonly id: number;
}

const user = (): Promise<User> => Promise.resolve({ id: 1 });

export async function theResultIsThatOfTheWork(): Promise<void> {
  typed(await pipeline([retry(), opossumBreaker({ timeout: '3s', resetTimeout: 30_000 })]).execute(user)).is<User>();
  typed(await pipeline([opossumBreaker(new CircuitBreaker(user))]).execute(user)).is<User>();
}

export async function aFallbackWidensItIfYouSayWhatItAnswersWith(): Promise<void> {
  typed(await pipeline([opossumBreaker<null>({ timeout: false })]).execute(user)).is<User | null>();
  typed(await pipeline([opossumBreaker<'nobody'>(new CircuitBreaker(user))]).execute(user)).is<User | 'nobody'>();
}

export function theHandleHasYourBreaker(): void {
  const yours = new CircuitBreaker((id: number) => `user ${id}`);
  const policy = opossumBreaker(yours, { name: 'users', mode: 'shadow' });
  same<typeof policy.breaker, typeof yours>();
  typed(policy.kind).is<'opossum'>();
  typed(policy.state).is<OpossumState>();
  const own = opossumBreaker();
  same<typeof own, OpossumBreaker>();
  same<typeof own.breaker, Opossum>();
  typed(own.breaker.fire(user)).is<Promise<User>>();
  own.breaker.fallback((call: Call, error: unknown) => [call.key, error]);
  perKey(() => opossumBreaker());
}

export function callbacksGetTheCall(): void {
  opossumBreaker({
    errorFilter: (error: Error & { statusCode?: number }, call) => {
      typed(call).is<Call>();
      return error.statusCode !== undefined && error.statusCode < 500;
    },
    cacheGetKey: (call) => call.key,
  });
}

export function whatOpossumKnowsNotIsRefused(): void {
  // @ts-expect-error a slip of the pen
  opossumBreaker({ resetTimout: 1000 });
  // @ts-expect-error no duration
  opossumBreaker({ timeout: '3 seconds' });
  // @ts-expect-error opossum takes no notice of it
  opossumBreaker({ maxFailures: 3 });
  // @ts-expect-error no such outcome
  const wrong: OpossumOptions = { coalesceResetOn: ['failure'] };
  opossumBreaker(wrong);
}

export function eventsAreTyped(): void {
  pipeline([opossumBreaker()]).on('opossum.opened', ({ from, reason, openFor, failures }) => {
    typed(from).is<'closed' | 'open' | 'half-open'>();
    typed(reason).is<'failure-rate' | 'probes' | 'elapsed' | 'health-check' | 'manual'>();
    typed(openFor + failures).is<number>();
  });
}
