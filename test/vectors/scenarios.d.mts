/** A policy as the scenarios drive it. */
export interface Driven {
  run(work: () => unknown, signal?: AbortSignal): Promise<unknown>;
  hit?(key: string): boolean;
  readonly size?: number;
  readonly running?: number;
  readonly queued?: number;
  readonly state?: string;
}

export interface DrivenLibrary {
  build(policy: string, config: Readonly<Record<string, never>>): Driven;
  /** Timers the library holds. */
  timers(): number;
  key(parts: readonly string[]): string;
}

export function scenarioAdapter(library: DrivenLibrary): { fn(input: object): Promise<Readonly<Record<string, unknown>>> };
