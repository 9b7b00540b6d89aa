/** What the compiler knows about presets. Nothing here runs: `npm run types` compiles it. */

import { type HttpPresetOptions, type Retry, type Timeout, fallback, pipeline, presets } from 'breakwater';
import { typed } from './equal.ts';

export async function theyAreTuplesOfTheirParts(wide: HttpPresetOptions): Promise<void> {
  const all = presets.http();
  typed(all.length).is<5>();
  typed(all[0]).is<Timeout>();
  typed(all[1]).is<Retry<unknown>>();
  typed(presets.http({ retry: false, rateLimit: { rate: 1, per: '1s' } }).length).is<5>();
  typed(presets.hedgedHttp({ hedge: false, bulkhead: false }).length).is<3>();
  typed(await pipeline([fallback({ value: null }), ...all]).execute(() => 7)).is<number | null>();
  typed(await pipeline(presets.hedgedHttp()).execute(() => 7)).is<number>();
  typed(await pipeline(presets.http(wide)).execute(() => 7)).is<number>();
  typed(await pipeline(all.filter(({ name }) => name !== 'retry')).execute(() => 7)).is<number>();
  // @ts-expect-error there is no such part
  presets.http({ cache: false });
}
