/** What the compiler knows about policies on p-retry. Nothing here runs: `npm run types` compiles it. */

import type { Options } from 'p-retry';
import type { Options as NewerOptions } from 'p-retry9';
import { type Call, type Retry, pipeline } from 'breakwater';
import { type NativeRetry, type PRetry, type PRetryContext, type PRetryOptions, fromPRetryOptions, pRetryPolicy } from 'breakwater/p-retry';
import { typed } from './equal.ts';

export async function resultsAreThoseOfTheWork(): Promise<void> {
  typed(pRetryPolicy()).is<PRetry>();
  typed(await pipeline([pRetryPolicy({ retries: 2 })]).execute(() => 1)).is<number>();
}

export function functionsGetTheContextAndTheCall(): void {
  pRetryPolicy({
    onFailedAttempt: (context, call) => {
      typed(context).is<PRetryContext>();
      typed(context.error).is<Error>();
      typed(context.retryDelay).is<number | undefined>();
      typed(call).is<Call>();
    },
    shouldRetry: ({ attemptNumber }) => Promise.resolve(attemptNumber < 3),
    shouldConsumeRetry: ({ error }) => error.name !== 'RateLimitError',
  });
  // @ts-expect-error it says yes or no
  pRetryPolicy({ shouldRetry: () => 'yes' });
}

export function optionsAreThoseOfThePackage(theirs: Omit<Options, 'signal'>, newer: Omit<NewerOptions, 'signal'>): void {
  const ours: readonly PRetryOptions[] = [theirs, newer];
  for (const options of ours) pRetryPolicy(options);
  pRetryPolicy(theirs);
  pRetryPolicy(newer);
  fromPRetryOptions(theirs);
  pRetryPolicy({ retries: undefined });
  // @ts-expect-error each call has a signal of its own
  pRetryPolicy({ signal: new AbortController().signal });
  // @ts-expect-error there is no such option
  pRetryPolicy({ forever: true });
}

export async function translationsAreTuples(): Promise<void> {
  const policies = fromPRetryOptions({ retries: 2 });
  typed(policies).is<NativeRetry>();
  typed(policies[1]).is<Retry<unknown>>();
  typed(await pipeline([...policies]).execute(() => 'text')).is<string>();
}
