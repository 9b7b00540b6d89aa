/** opossum brings no types of its own; this is as much of it as is used here and in the tests. */
declare module 'opossum' {
  import type { EventEmitter } from 'node:events';

  class CircuitBreaker<Args extends unknown[] = unknown[], Result = unknown> extends EventEmitter {
    static isOurError(error: unknown): boolean;
    static newStatus(
      options: object,
    ): EventEmitter & { readonly stats: Readonly<Record<string, unknown>>; readonly window: readonly object[] };
    constructor(action: (...args: Args) => Result | PromiseLike<Result>, options?: object);
    readonly name: string;
    readonly group: string;
    readonly enabled: boolean;
    readonly closed: boolean;
    readonly opened: boolean;
    readonly halfOpen: boolean;
    readonly pendingClose: boolean;
    readonly isShutdown: boolean;
    readonly warmUp: boolean;
    readonly volumeThreshold: number;
    readonly status: EventEmitter & { readonly stats: Readonly<Record<string, unknown>>; readonly window: readonly object[] };
    readonly stats: Readonly<Record<string, unknown>>;
    fire(...args: Args): Promise<Result>;
    call(context: unknown, ...args: Args): Promise<Result>;
    fallback(action: ((...args: never[]) => unknown) | object): this;
    healthCheck(check: () => Promise<unknown>, interval?: number): void;
    open(): void;
    close(): void;
    enable(): void;
    disable(): void;
    shutdown(): void;
    clearCache(): void;
    getSignal(): AbortSignal | undefined;
    getAbortController(): AbortController | undefined;
    toJSON(): { readonly state: Readonly<Record<string, unknown>>; readonly status: Readonly<Record<string, unknown>> };
  }
  export default CircuitBreaker;
}
