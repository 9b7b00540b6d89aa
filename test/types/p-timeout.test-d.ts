/** What the compiler knows about policies on p-timeout. Nothing here runs: `npm run types` compiles it. */

import type { Options } from 'p-timeout';
import { type Fallback, type GatePolicy, type Pipeline, type RacingTimeout, perKey, pipeline } from 'breakwater';
import { type PTimeout, type PTimeoutGate, type PTimeoutOptions, fromPTimeoutOptions, pTimeoutPolicy } from 'breakwater/p-timeout';
import { typed } from './equal.ts';

const work = (): Promise<number> => Promise.resolve(1);

export async function answersAreKnown(): Promise<void> {
  const throwing = pTimeoutPolicy({ milliseconds: 5, message: 'too slow' });
  typed(throwing).is<PTimeoutGate>();
  typed(await pipeline([throwing]).execute(work)).is<number>();
  typed(await pipeline([pTimeoutPolicy({ milliseconds: 5, fallback: () => 'spare' })]).execute(work)).is<number | string>();
  typed(await pipeline([pTimeoutPolicy({ milliseconds: 5, fallback: () => Promise.resolve(true) })]).execute(work)).is<number | boolean>();
  typed(await pipeline([pTimeoutPolicy({ milliseconds: 5, message: false })]).execute(work)).is<number | undefined>();
  const some: PTimeoutOptions<'spare'> = { milliseconds: 5 };
  typed(pTimeoutPolicy(some)).is<PTimeout<'spare' | undefined>>();
}

export function onlyWhatAnswersNothingIsAGate(): void {
  const gate: GatePolicy = pTimeoutPolicy({ milliseconds: 5 });
  perKey(() => gate);
  perKey(() => pTimeoutPolicy({ milliseconds: 5 }));
  // @ts-expect-error nobody would hear the answer
  perKey(() => pTimeoutPolicy({ milliseconds: 5, fallback: () => 1 }));
  // @ts-expect-error nor this one
  perKey(() => pTimeoutPolicy({ milliseconds: 5, message: false }));
}

export function optionsAreThoseOfThePackage(): void {
  const theirs: Omit<Options<string>, 'signal'> = { milliseconds: 5, customTimers: { setTimeout, clearTimeout } };
  pTimeoutPolicy<string>(theirs as PTimeoutOptions<string>);
  pTimeoutPolicy({ milliseconds: 5, customTimers: { setTimeout, clearTimeout } });
  // @ts-expect-error milliseconds are required
  pTimeoutPolicy({});
  // @ts-expect-error and a number
  pTimeoutPolicy({ milliseconds: '5s' });
  // @ts-expect-error a message is a text, an Error or false
  pTimeoutPolicy({ milliseconds: 5, message: true });
  // @ts-expect-error each call has a signal of its own
  pTimeoutPolicy({ milliseconds: 5, signal: new AbortController().signal });
}

export async function translationsAreTuples(): Promise<void> {
  typed(fromPTimeoutOptions({ milliseconds: 5 })).is<[RacingTimeout]>();
  typed(fromPTimeoutOptions({ milliseconds: 5, message: false })).is<[Fallback<unknown, undefined>, RacingTimeout]>();
  typed(fromPTimeoutOptions({ milliseconds: 5, fallback: () => 'spare' })).is<[Fallback<unknown, string>, RacingTimeout]>();
  const line = pipeline([...fromPTimeoutOptions({ milliseconds: 5, fallback: () => Promise.resolve('spare') })]);
  typed(await line.execute(work)).is<number | string>();
  const untyped: Pipeline = pipeline(fromPTimeoutOptions({ milliseconds: 5 }));
  untyped.describe();
}
