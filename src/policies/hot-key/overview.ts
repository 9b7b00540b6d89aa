import type { HotKeys } from '../../algorithms/hot-keys.ts';
import type { PlainData } from '../../core/policy.ts';
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
export function entriesOf(keys: HotKeys): HotKeyEntry[] {
  return keys
    .hottest()
    .filter(({ heat }) => heat > 0)
    .map(({ id, heat, hot }) => ({ key: shown(id), calls: heat, hot }));
}

/** How the counts stand. */
export function overview(keys: HotKeys): HotKeySnapshot {
  const accounts = keys.hottest();
  return { watched: accounts.length, hot: accounts.filter(({ hot }) => hot).length, crowded: keys.crowded };
}
