/** Where native policies made by `fromPTimeoutOptions` differ from p-timeout, each shown on both sides by a test. */

/** One difference. */
export interface DifferenceRow {
  readonly Difference: string;
  readonly 'With p-timeout': string;
  readonly Native: string;
  readonly Why: string;
}

export const rows: readonly DifferenceRow[] = [
  {
    Difference: 'A timeout of something further in',
    'With p-timeout': '`fallback` and `message: false` answer when the own time is up, and for nothing else',
    Native: 'the fallback around the timeout covers any timeout from further in, such as that of a policy inside',
    Why: 'to the caller it is the same: the call took too long',
  },
  {
    Difference: 'The cause of the error',
    'With p-timeout': "`error.cause` is p-timeout's `TimeoutError`",
    Native: 'there is no cause',
    Why: 'nothing else was thrown',
  },
  {
    Difference: 'Timers',
    'With p-timeout': 'one timer for each call',
    Native: 'one timer for all calls with the same limit',
    Why: 'calls with one limit expire in the order they came',
  },
  {
    Difference: 'A fallback that throws',
    'With p-timeout': 'what it throws passes untouched',
    Native: 'it passes too, and gets the timeout as its `cause` if it has none',
    Why: 'whoever reads it learns what the fallback was for',
  },
  {
    Difference: 'Events',
    'With p-timeout': '`p-timeout.expired`, `p-timeout.fallback-used`, `p-timeout.fallback-failed`',
    Native: '`timeout.expired`, `fallback.used`, `fallback.failed`, the last two with the name of the `tier`',
    Why: 'events are called after the policy that tells them',
  },
];
