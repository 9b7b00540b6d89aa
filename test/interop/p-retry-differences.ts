/** Where native policies made by `fromPRetryOptions` differ from p-retry, each shown on both sides by a test. */

/** One difference. */
export interface DifferenceRow {
  readonly Difference: string;
  readonly 'With p-retry': string;
  readonly Native: string;
  readonly Why: string;
}

export const rows: readonly DifferenceRow[] = [
  {
    Difference: 'A function that throws',
    'With p-retry': 'the call ends with what `onFailedAttempt` or `shouldRetry` threw',
    Native: 'the throw is reported (`pipeline.callback-failed`) and taken for a no: the call ends with the error of the work',
    Why: 'a faulty callback changes nothing about a call; throw an AbortError in the work, or answer with `false`',
  },
  {
    Difference: '`randomize` near `maxTimeout`',
    'With p-retry': 'the wait is capped after chance: at the cap all waits are `maxTimeout`',
    Native: 'chance spreads the capped wait, between two thirds of `maxTimeout` and all of it',
    Why: 'callers that failed together do not come back together; below the cap the waits are the same, but for the rounding',
  },
  {
    Difference: 'Time and chance',
    'With p-retry': "the process's",
    Native: "the pipeline's: a virtual clock moves the waits, a seed repeats them",
    Why: 'tests need no fake timers',
  },
  {
    Difference: 'When `maxRetryTime` begins',
    'With p-retry': 'when the call reaches the retry',
    Native: 'when the call begins: waits in policies further out count',
    Why: 'the caller waits for them too',
  },
  {
    Difference: 'Why it gave up, in events',
    'With p-retry': "`reason: 'duration'` when `maxRetryTime` is over",
    Native: "`reason: 'stopped'`",
    Why: 'the wait is worked out by a function then, which stops the retry',
  },
  {
    Difference: '`retryDelay`',
    'With p-retry': 'p-retry 9 tells its functions the wait that would follow',
    Native: 'the functions are not told; `retry.scheduled` tells it',
    Why: 'they are asked before the wait is known',
  },
  {
    Difference: 'How many attempts an error took',
    'With p-retry': '`attemptsOf(error)` is undefined',
    Native: '`attemptsOf(error)` tells',
    Why: 'native retries keep it',
  },
];
