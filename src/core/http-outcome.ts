/** What an HTTP exchange says about the service, whoever made it: fetch, undici, node:http, axios, got. */

/** An answer's status and headers. */
export interface HttpAnswer {
  readonly status: number;
  readonly headers: object | undefined;
}

/** Statuses that say: try again, it may pass. (RFC 9110 15.5.9, 15.6; RFC 8470; RFC 6585) */
const passing: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Whether a status is the service's failure: its own errors, and those that say "later". Other 4xx are answers like any other. */
export function isFailedStatus(status: number): boolean {
  return status >= 500 || passing.has(status);
}

/** Whether a request that failed with this status may succeed when sent again. */
export function isPassingStatus(status: number): boolean {
  return passing.has(status);
}

/**
 * A result that is an HTTP response: an object with a status code and headers, as `fetch`, undici, axios, got and node:http give it. Anything else is
 * just a value.
 */
export function responseIn(value: unknown): HttpAnswer | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { headers } = value as { readonly headers?: unknown };
  if (typeof headers !== 'object' || headers === null) return undefined;
  const { status, statusCode = status } = value as { readonly status?: unknown; readonly statusCode?: unknown };
  return isStatus(statusCode) ? { status: statusCode, headers } : undefined;
}

/** The HTTP response that an error tells of: one that carries it (axios, got, ky), or its status (http-errors, undici). */
export function responseOf(error: object): HttpAnswer | undefined {
  const { response, status, statusCode = status, headers } = error as Readonly<Record<string, unknown>>;
  const within = responseIn(response);
  if (within !== undefined) return within;
  return isStatus(statusCode) && statusCode >= 400
    ? { status: statusCode, headers: typeof headers === 'object' && headers !== null ? headers : undefined }
    : undefined;
}

function isStatus(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 100 && value <= 599;
}
