/** What opossum cannot keep, as data: tests assert that it is broken, and the page prints it. */

import type { LawException } from 'breakwater/testing';

/** Laws of the contract suites. */
export const exceptions: readonly LawException[] = [];

/** All of them, those included that the suites have no law for. */
export const rows: readonly { readonly Law: string; readonly Why: string }[] = [
  {
    Law: 'the time is that of the pipeline (law 7)',
    Why: 'opossum sets timers of the process: its timeout, its open time and its window take no notice of a `clock`',
  },
  {
    Law: 'work that was left behind holds its slot until it has ended (law 6)',
    Why: 'opossum gives the place back when its timeout is over, so that more work may run at once than `capacity` says',
  },
  {
    Law: 'a straggler from an earlier state is not counted (law 3)',
    Why: 'any success closes a half-open circuit, also that of a call from before it opened',
  },
  {
    Law: 'a failure of an earlier state does not open a circuit that is tried out (law 3)',
    Why: 'any failure opens a half-open circuit again',
  },
  {
    Law: 'a probe that hangs does not keep the circuit half-open for ever',
    Why: 'with `timeout: false` nothing ends the probe, and opossum lets in only one',
  },
  {
    Law: "a refusal is nobody's failure (law 5)",
    Why: 'a call that finds all places taken counts as a failure, and opens the circuit',
  },
  {
    Law: 'the rate is that of calls that were judged',
    Why: 'opossum divides by all calls that came: refused ones, cached answers and calls under way make the rate lower',
  },
  {
    Law: 'what was saved of an open circuit goes on for as long as was left',
    Why: '`lastTimerAt` is when the breaker was made and not when it opened, so that it may half-open at once',
  },
  {
    Law: 'what was shut down stays so',
    Why: 'a health check goes on after `shutdown()`, and opens the breaker that was shut down',
  },
  {
    Law: 'a coalesced failure is not given to those who come when it is over',
    Why: 'opossum shares a failure for `coalesceTTL` too, unless `coalesceResetOn` names `error` and `timeout`',
  },
];
