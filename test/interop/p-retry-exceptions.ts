/** What p-retry cannot keep of the laws, and why. */

import type { LawException } from 'breakwater/testing';

/** Laws of the contract suite: none. */
export const exceptions: readonly LawException[] = [];

/** Laws that no test of the suite covers; each has one of its own that shows it broken. */
export const rows: readonly { readonly Law: string; readonly Why: string }[] = [
  {
    Law: 'time enters once, with the scope (law 7)',
    Why: "p-retry waits on the process's timers and measures `maxRetryTime` by `performance`: fake timers move it, a clock of the pipeline does not",
  },
  {
    Law: 'chance enters once, with the scope (law 7)',
    Why: "p-retry spreads its waits by `Math.random`, not by the pipeline's chance",
  },
  {
    Law: "a user's function that throws changes nothing (G5)",
    Why: 'what `onFailedAttempt`, `shouldRetry` or `shouldConsumeRetry` throws ends the call, and is what the caller gets: p-retry promises that',
  },
];
