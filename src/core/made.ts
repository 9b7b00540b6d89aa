/**
 * Builds an error of ours. Most of what an error costs is its stack trace, and these are made on the overload path, so by default
 * they carry none.
 *
 * @internal
 */
export function made<Made, Details>(
  Type: new (message: string, details: Details) => Made,
  message: string,
  details: Details,
  stack: boolean,
): Made {
  if (stack) return new Type(message, details);
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  try {
    return new Type(message, details);
  } finally {
    Error.stackTraceLimit = limit;
  }
}
