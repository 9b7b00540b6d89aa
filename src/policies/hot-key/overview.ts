import type { HotKeys, Id, KeyAccount } from '../../algorithms/hot-keys.ts';
import { identify } from '../../core/digest.ts';
import type { PlainData } from '../../core/policy.ts';
import { type Quota, noQuotas } from '../../core/quota.ts';
import { remainderOf } from '../../stores/limiter/remainder.ts';
import { shown } from './ids.ts';

/** A key and how much it is asked for: calls in the last full window or, if they are more, the present one. */
export interface HotKeyEntry {
  /** Instead of a key of more than 256 characters its hash, `sha256:` and 32 hexadecimal digits. */
  readonly key: string;
  readonly calls: number;
  /** Whether it is limited. */
  readonly hot: boolean;
}

/** How many keys are watched one by one and how many of them are hot; `crowded`: calls in this window of keys that are not, for want of room. */
export type HotKeySnapshot = PlainData & Readonly<Record<'watched' | 'hot' | 'crowded', number>>;

/** The keys that are asked for most, the hottest first. */
export function entriesOf(keys: HotKeys | undefined): HotKeyEntry[] {
  if (keys === undefined) return [];
  return keys
    .hottest()
    .filter(({ heat }) => heat > 0)
    .map(({ id, heat, hot }) => ({ key: shown(id), calls: heat, hot }));
}

/** The accounts of those of the keys that are hot. */
export function hotAmong(keys: HotKeys | undefined, ids: readonly Id[]): KeyAccount[] {
  return ids.flatMap((id) => {
    const account = keys?.find(id);
    return account?.hot === true ? [account] : [];
  });
}

/** What a key is allowed that is hot; others are not limited. */
export function quotasOf(keys: HotKeys | undefined, key: string | undefined, name: string, now: number): readonly Quota[] {
  return key === undefined ? noQuotas : hotAmong(keys, [identify(key)]).map(({ meter }) => remainderOf(name, meter, now));
}

/** How the counts stand. */
export function overview(keys: HotKeys | undefined): HotKeySnapshot {
  if (keys === undefined) return { watched: 0, hot: 0, crowded: 0 };
  const accounts = keys.hottest();
  return { watched: accounts.length, hot: accounts.filter(({ hot }) => hot).length, crowded: keys.crowded };
}
