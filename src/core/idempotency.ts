import { type Random, uniqueId } from './clock.ts';

/** Keys that were asked for, by the call as its caller made it. */
const keys = new WeakMap<object, string>();

/** The idempotency key of a call: its caller's, or one made when it is first asked for. */
export function idempotencyKeyOf(root: object, given: string | undefined, random: Random): string {
  const key = given ?? keys.get(root) ?? uniqueId(random);
  keys.set(root, key);
  return key;
}
