/** A test runner. */
export interface Runner {
  readonly describe: (title: string, tests: () => void) => unknown;
  readonly it: (title: string, run: () => Promise<void>) => unknown;
}

/** A fake-timer tool. */
export interface Tool {
  readonly name: string;
  readonly install: () => void;
  readonly uninstall: () => void;
  readonly tick: (ms: number) => unknown;
  /** How many timers are set, if the tool can tell. */
  readonly pending?: () => number;
  /** Whether ticking moves what the clock reads as well as timers. */
  readonly movesTime: boolean;
}

export function fakeTimerSuite(runner: Runner, tool: Tool, library: object): void;
