/**
 * What was thrown, as an error. It need not be one, and to frameworks `undefined` (and, to Express, some words) would mean: go on, so that a request were served
 * of which nobody knows whose it is.
 */
export function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error('What was thrown is no error: it is the cause of this one', { cause: thrown });
}
