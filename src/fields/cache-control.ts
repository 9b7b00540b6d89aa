/** The field `Cache-Control` (RFC 9111, 5.2), as far as an answer says how long it may be used again. */

/** Directives by their lower-case names; `''` for one without a value. */
export type CacheControl = ReadonlyMap<string, string>;

/** Longer fields are not read: nobody has so much to say. */
const LONGEST = 4096;

const directive = /\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s",;]*)))?\s*(?:,|$)/y;

/** Reads the field; `undefined` if it is malformed or far too long, and then nothing in it can be relied on. The first of several equal directives counts. */
export function readCacheControl(field: string): CacheControl | undefined {
  if (field.length > LONGEST) return undefined;
  const found = new Map<string, string>();
  let at = 0;
  while (at < field.length) {
    directive.lastIndex = at;
    const parts = directive.exec(field);
    if (parts === null) {
      // Empty members of a list are allowed.
      const empty = /^[\s,]+/.exec(field.slice(at));
      if (empty === null) return undefined;
      at += empty[0].length;
      continue;
    }
    at = directive.lastIndex;
    const name = (parts[1] as string).toLowerCase();
    if (!found.has(name)) found.set(name, parts[2] ?? parts[3] ?? '');
  }
  return found;
}

/** The seconds that a directive gives; `undefined` if it is not there. What is malformed is 0: better too old than too young. */
export function secondsOf(directives: CacheControl, name: string): number | undefined {
  const value = directives.get(name);
  if (value === undefined) return undefined;
  return /^\d{1,10}$/.test(value) ? Number(value) : 0;
}
