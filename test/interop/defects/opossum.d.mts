/** What the tests use of a package that has no types. */

interface Breaker {
  fire(...args: readonly unknown[]): Promise<unknown>;
  open(): void;
  shutdown(): void;
  healthCheck(check: () => Promise<unknown>, interval: number): void;
  toJSON(): { readonly state: object };
  getSignal(): AbortSignal;
  on(event: string, listener: (...args: readonly unknown[]) => void): this;
  readonly closed: boolean;
  readonly opened: boolean;
  readonly halfOpen: boolean;
  readonly isShutdown: boolean;
  readonly stats: Readonly<Record<'fires' | 'failures' | 'successes', number>>;
}

declare const CircuitBreaker: new (action: (...args: never[]) => unknown, options?: object) => Breaker;
export default CircuitBreaker;
