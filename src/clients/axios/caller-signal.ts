/** How callers of axios say that they want no answer any more: a signal, a cancel token, or both. */

interface CancelToken {
  subscribe(listener: (reason: unknown) => void): void;
  unsubscribe(listener: (reason: unknown) => void): void;
}

/** A caller's own signal, or one that stands for everything it cancels by. */
export interface CallerSignal {
  readonly signal: AbortSignal | undefined;
  /** Leaves nothing behind on what the caller may use again. */
  release(): void;
}

const nothing = (): void => undefined;

/** The signal of a request's configuration. Its parts are axios's own, whose types leave open what stands behind them. */
export function callerSignal({ signal, cancelToken }: { readonly signal?: unknown; readonly cancelToken?: unknown }): CallerSignal {
  const given = signal as AbortSignal | undefined;
  const token = cancelToken as Partial<CancelToken> | undefined;
  if (typeof token?.subscribe !== 'function') return { signal: given, release: nothing };
  const both = new AbortController();
  const cancel = (reason: unknown): void => both.abort(reason);
  const abort = (): void => both.abort(given?.reason);
  if (given?.aborted === true) abort();
  token.subscribe(cancel);
  given?.addEventListener('abort', abort);
  return {
    signal: both.signal,
    release: () => {
      token.unsubscribe?.(cancel);
      given?.removeEventListener('abort', abort);
    },
  };
}
