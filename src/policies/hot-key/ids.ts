import type { Id } from '../../algorithms/hot-keys.ts';
import type { Call } from '../../core/call.ts';
import { detach, identify } from '../../core/digest.ts';
import { show } from '../../core/options.ts';
import type { Scope } from '../../core/scope.ts';

/** Says which key, or keys, a call is about; `undefined`: none, it passes. */
export type KeysOf = (call: Call) => string | readonly string[] | undefined;

/** What the keys of a call are kept under, each once. If the user's function throws, that is reported and the call has none. */
export function idsOf(call: Call, scope: Scope, key: KeysOf | undefined): readonly Id[] {
  const keys = key === undefined ? call.key : scope.ask('key', undefined, () => checked(key(call)));
  if (keys === undefined) return none;
  return typeof keys === 'string' ? [identify(keys)] : [...new Set(keys.map(identify))];
}

const none: readonly Id[] = [];

/** The same id in memory of its own. */
export function keep(id: Id): Id {
  return typeof id === 'string' ? detach(id) : id;
}

/** The key, or the hash of a long one. */
export function shown(id: Id): string {
  return typeof id === 'string' ? id : `sha256:${id.toString(16).padStart(32, '0')}`;
}

function checked(keys: unknown): string | readonly string[] | undefined {
  if (keys === undefined || typeof keys === 'string') return keys;
  if (Array.isArray(keys) && keys.every((key) => typeof key === 'string')) return keys;
  throw new TypeError(`hotKey.key: expected a function that answers with a string, strings or undefined, got ${show(keys)}`);
}
