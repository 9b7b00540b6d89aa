/**
 * Releases a value that nobody will get: the result of a discarded attempt, or one that came too late. Knows what says by itself how it is released
 * (`Symbol.asyncDispose`, `Symbol.dispose`), HTTP responses (their body is cancelled) and streams (destroyed). Anything else is left to the garbage collector:
 * a `destroy` of a plain object may mean something else altogether. Never throws; what fails meanwhile is nobody's concern.
 */
export function discard(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  try {
    void Promise.resolve(release(value)).catch(ignore);
  } catch {
    // Whatever could not be released is as good as gone.
  }
}

function release(value: object): unknown {
  const { [Symbol.asyncDispose]: disposeAsync, [Symbol.dispose]: dispose } = value as Partial<AsyncDisposable & Disposable>;
  if (isStream(value)) destroy(value);
  else if (typeof disposeAsync === 'function') return disposeAsync.call(value);
  else if (typeof dispose === 'function') dispose.call(value);
  else return releaseBody(value);
  return undefined;
}

/** A response's body holds its connection until it is read or let go. */
function releaseBody(value: object): unknown {
  const { body, headers } = value as { readonly body?: unknown; readonly headers?: unknown };
  if (typeof body !== 'object' || body === null || headers === undefined) return undefined;
  if (isStream(body)) destroy(body);
  const { cancel, locked } = body as { readonly cancel?: unknown; readonly locked?: unknown };
  return typeof cancel === 'function' && locked === false ? (body as ReadableStream).cancel() : undefined;
}

interface NodeStream {
  destroy(): unknown;
  on(event: 'error', listener: () => void): unknown;
}

function isStream(value: object): value is NodeStream {
  const { pipe, write, destroy: end, on } = value as Readonly<Record<string, unknown>>;
  return typeof end === 'function' && typeof on === 'function' && (typeof pipe === 'function' || typeof write === 'function');
}

/** A stream that is destroyed early may still say so, and nobody listens any more. */
function destroy(stream: NodeStream): void {
  stream.on('error', ignore);
  stream.destroy();
}

function ignore(): void {}
