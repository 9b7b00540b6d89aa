import { type Random, uniqueId } from './clock.ts';

/** What goes along with a call and all that derive from it, and few calls have. */
export interface Carried {
  readonly hedge: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** What most calls carry. */
export const nothing: Carried = { hedge: 0, headers: Object.freeze({}) };

/** Keys that were asked for, by the call as its caller made it. */
const idempotencyKeys = new WeakMap<object, string>();

/** The idempotency key of a call: its caller's, or one made when it is first asked for. */
export function idempotencyKeyOf(root: object, given: string | undefined, random: Random): string {
  const key = given ?? idempotencyKeys.get(root) ?? uniqueId(random);
  idempotencyKeys.set(root, key);
  return key;
}
