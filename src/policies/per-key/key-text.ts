/** How keys are written: those that are kept as a hash, and those that look like one. */

import type { identify } from '../../core/digest.ts';

/** What a key is held under. */
export type Id = ReturnType<typeof identify>;

const mark = 'sha256:';
/** A text that could be taken for the hash of a long key, or for what stands for such a text. */
const lookalike = /^(?:sha256:)+[0-9a-f]{32}$/;

/** A key as people are shown it; instead of a long one its hash. */
export function shown(id: Id): string {
  return typeof id === 'string' ? id : `${mark}${id.toString(16).padStart(32, '0')}`;
}

/** A key as it stands in a cache of texts: as it is shown, but that one which looks like a hash has a mark more. No two keys have the same text. */
export function textOf(id: Id): string {
  return typeof id === 'string' && isLookalike(id) ? mark + id : shown(id);
}

/** The key that stands in a cache as this text. What is no text, somebody else put there: no key of ours is held under it. */
export function idOf(text: string): Id {
  if (typeof text !== 'string' || !isLookalike(text)) return text;
  const rest = text.slice(mark.length);
  return rest.startsWith(mark) ? rest : BigInt(`0x${rest}`);
}

function isLookalike(text: string): boolean {
  return text.startsWith(mark) && lookalike.test(text);
}
