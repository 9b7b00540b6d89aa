/** What every field is held to, so that nothing from outside costs more than a constant. */

/** Characters; a longer field is not read at all. */
export const LONGEST_FIELD = 8192;

/** Members of a list, or parameters of one of them. */
export const MOST_MEMBERS = 64;

/** The greatest whole number a field may hold: 15 digits (RFC 9651). */
export const GREATEST = 999_999_999_999_999;

/** Digits of it. */
const MOST_DIGITS = 15;

/** The number that stands from `from` to `to`, digits and nothing else, at least one and at most `most`; -1 if none does. */
export function digitsAt(text: string, from: number, to: number, most: number = MOST_DIGITS): number {
  if (to <= from || to - from > most) return -1;
  let number = 0;
  for (let i = from; i < to; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    number = number * 10 + digit;
  }
  return number;
}

/** The same number as a field may hold it: rounded down, not below 0, and of 15 digits at most. */
export function wholePart(number: number): number {
  return number > 0 ? Math.min(Math.floor(number), GREATEST) : 0;
}

/** The text without the blanks and tabs around it; other characters that look like none are not taken for them. */
export function trimmed(text: string): string {
  let from = 0;
  let to = text.length;
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}
