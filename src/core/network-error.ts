/** What the errors of Node, undici and gRPC say about a call. */

/** What is known from an error alone. Absent: nothing special. */
export interface ErrorTraits {
  readonly verdict: 'success' | 'failure' | 'ignored';
  readonly retryable: boolean;
  readonly overload?: true;
  readonly timeout?: true;
  readonly throttled?: true;
  /** It never reached the service. */
  readonly undispatched?: true;
}

const failing: ErrorTraits = { verdict: 'failure', retryable: true };
const unreachable: ErrorTraits = { verdict: 'failure', retryable: true, undispatched: true };
const hopeless: ErrorTraits = { verdict: 'failure', retryable: false, undispatched: true };
const lasting: ErrorTraits = { verdict: 'failure', retryable: false };
const slow: ErrorTraits = { verdict: 'failure', retryable: true, timeout: true, overload: true };
const slowToConnect: ErrorTraits = { ...slow, undispatched: true };
const throttled: ErrorTraits = { verdict: 'failure', retryable: true, overload: true, throttled: true };
const answered: ErrorTraits = { verdict: 'success', retryable: false };
const mistake: ErrorTraits = { verdict: 'ignored', retryable: false };

/** By `error.code`: system calls, DNS, TLS, undici. */
const byCode: ReadonlyMap<unknown, ErrorTraits> = new Map(
  Object.entries({
    // No connection was made, so nothing can have been done.
    ECONNREFUSED: unreachable,
    ENOTFOUND: unreachable,
    EAI_AGAIN: unreachable,
    EHOSTUNREACH: unreachable,
    EHOSTDOWN: unreachable,
    ENETUNREACH: unreachable,
    ENETDOWN: unreachable,
    EADDRNOTAVAIL: unreachable,
    UND_ERR_CONNECT_TIMEOUT: { ...unreachable, timeout: true },
    // The same, and another try finds the same certificate, the same closed client.
    CERT_HAS_EXPIRED: hopeless,
    DEPTH_ZERO_SELF_SIGNED_CERT: hopeless,
    SELF_SIGNED_CERT_IN_CHAIN: hopeless,
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: hopeless,
    UNABLE_TO_GET_ISSUER_CERT_LOCALLY: hopeless,
    ERR_TLS_CERT_ALTNAME_INVALID: hopeless,
    UND_ERR_CLOSED: hopeless,
    UND_ERR_DESTROYED: hopeless,
    // The connection broke; the service may have done it all.
    ECONNRESET: failing,
    ECONNABORTED: failing,
    EPIPE: failing,
    ERR_STREAM_PREMATURE_CLOSE: failing,
    UND_ERR_SOCKET: failing,
    // Time ran out.
    ETIMEDOUT: slow,
    ESOCKETTIMEDOUT: slow,
    ERR_SOCKET_CONNECTION_TIMEOUT: slow,
    UND_ERR_HEADERS_TIMEOUT: slow,
    UND_ERR_BODY_TIMEOUT: slow,
    // The caller asked for something that cannot be.
    ERR_INVALID_URL: mistake,
    ERR_INVALID_ARG_TYPE: mistake,
    ERR_INVALID_ARG_VALUE: mistake,
    UND_ERR_INVALID_ARG: mistake,
    UND_ERR_NOT_SUPPORTED: mistake,
  } satisfies Record<string, ErrorTraits>),
);

/** By gRPC status (grpc/grpc statuscodes.md). Those not named here are answers of a service that works. */
const byGrpcStatus: ReadonlyMap<number, ErrorTraits> = new Map([
  [1, mistake], // CANCELLED, by this side
  [2, lasting], // UNKNOWN
  [4, slow], // DEADLINE_EXCEEDED
  [8, throttled], // RESOURCE_EXHAUSTED
  [10, failing], // ABORTED
  [13, lasting], // INTERNAL
  [14, failing], // UNAVAILABLE
  [15, lasting], // DATA_LOSS
]);

/** Links of a chain of causes that are looked at. */
const DEEPEST = 5;

/** What is known of an error, from itself or from what caused it; `undefined` if nothing is. */
export function traitsOf(error: object): ErrorTraits | undefined {
  let link: unknown = error;
  for (let depth = 0; depth < DEEPEST && typeof link === 'object' && link !== null; depth++) {
    const { code, name, cause } = link as Readonly<Record<string, unknown>>;
    const known = byCode.get(code);
    // A connection that could not be made in time was never used.
    if (known !== undefined) return known === slow && isOfConnecting(link) ? slowToConnect : known;
    if (typeof code === 'number' && isGrpc(link)) return byGrpcStatus.get(code) ?? answered;
    if (name === 'TimeoutError') return slow;
    link = cause;
  }
  return isMistake(error) ? mistake : undefined;
}

/** From the attempt to connect; Node gathers those of several addresses in one error. */
function isOfConnecting(error: object): boolean {
  const { syscall, errors } = error as { readonly syscall?: unknown; readonly errors?: unknown };
  return (
    syscall === 'connect' || (Array.isArray(errors) && errors.every((one) => (one as { syscall?: unknown } | null)?.syscall === 'connect'))
  );
}

/** grpc-js gives its errors a numeric code, details and metadata. */
function isGrpc(error: object): boolean {
  const { details, metadata } = error as Readonly<Record<string, unknown>>;
  return typeof details === 'string' && typeof metadata === 'object';
}

/** fetch says with a TypeError that the network failed; what it says then differs between runtimes. */
const networkMessages: ReadonlySet<string> = new Set(['fetch failed', 'terminated', 'Failed to fetch', 'Load failed', 'network error']);

/** Errors of the program itself: trying again, or opening a circuit, mends nothing. */
function isMistake(error: object): boolean {
  if (error instanceof ReferenceError) return true;
  return error instanceof TypeError && !networkMessages.has(error.message);
}
