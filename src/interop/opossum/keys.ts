import type { Inside } from './breaker.ts';
import type { OpossumSettings } from './fields.ts';
import type { KeyOf } from './gate.ts';

/** What names the calls that get the same answer, if the breaker keeps or shares any. */
export function keyFunction({ options }: Inside, settings: OpossumSettings | undefined): KeyOf | undefined {
  if (!options.cache && !options.coalesce) return undefined;
  if (settings !== undefined) return settings.cacheGetKey ?? byKey;
  return isOpossums(options.cacheGetKey) ? byKey : (options.cacheGetKey as KeyOf);
}

/** Calls without a key share nothing. */
const byKey: KeyOf = ({ key }) => key;

/** Whether it is the function that opossum takes if it is given none: that would write the whole call out as JSON. */
function isOpossums(keyOf: Inside['options']['cacheGetKey']): boolean {
  try {
    return keyOf(mark) === JSON.stringify([mark]);
  } catch {
    return false;
  }
}

const mark = 'a call';
