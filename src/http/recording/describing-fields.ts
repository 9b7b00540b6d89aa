/** What an answer says about its body, and which answers have none. */

/** Fields that describe the answer a handler was about to give, not the one that is given instead. */
export const describingFields: readonly string[] = [
  'accept-ranges',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-length',
  'content-location',
  'content-range',
  'content-type',
  'etag',
  'expires',
  'last-modified',
  'trailer',
  'transfer-encoding',
];

/** Whether an answer with this status has no body, and no fields that describe one (RFC 9110, 15): a response of the web platform throws if it is given an empty one. */
export function isBodiless(status: number): boolean {
  return status < 200 || status === 204 || status === 205 || status === 304;
}
