/** What the compiler knows about a guarded fetch. Nothing here runs: `npm run types` compiles it. */

import { fallback, pipeline, presets, retry } from 'breakwater';
import { type FetchOptions, type GuardedFetch, type GuardedRequestInit, type PhaseTimeoutError, wrapFetch } from 'breakwater/fetch';
import { typed } from './equal.ts';

export function itMayStandWhereverFetchDoes(): void {
  const guarded: typeof globalThis.fetch = wrapFetch();
  typed(wrapFetch()).is<GuardedFetch>();
  typed(guarded('https://api.example')).is<Promise<Response>>();
  typed(wrapFetch()(new URL('https://api.example'), { method: 'POST' })).is<Promise<Response>>();
  wrapFetch(presets.http(), { fetch: globalThis.fetch });
}

export function aRequestMaySaySomethingAboutItself(): void {
  const guarded = wrapFetch();
  void guarded('https://api.example', { method: 'POST', breakwater: { idempotent: true, deadline: '2s', priority: 'sheddable' } });
  // @ts-expect-error no such priority
  void guarded('https://api.example', { breakwater: { priority: 'urgent' } });
  // @ts-expect-error no such option
  void guarded('https://api.example', { breakwater: { retries: 3 } });
}

export function whatItTakesFetchTakesToo(init: GuardedRequestInit): RequestInit {
  return init;
}

export function itTakesPoliciesOrAPipeline(): void {
  wrapFetch([retry(), fallback({ value: 1 })]);
  wrapFetch(pipeline([retry()]));
  // @ts-expect-error a policy by itself
  wrapFetch(retry());
}

export function optionsAreDurationsNamesAndFunctions(): void {
  const options: FetchOptions = { phases: { headers: '1s' }, key: ({ url }) => url.host, propagate: ['https://api.example'] };
  wrapFetch([], options);
  // @ts-expect-error not a duration
  wrapFetch([], { phases: { headers: 'soon' } });
  typed({} as PhaseTimeoutError['phase']).is<'headers' | 'body-idle'>();
}
