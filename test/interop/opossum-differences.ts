/** Where native policies made of a breaker's options decide otherwise than opossum, and why. Each is shown in opossum-differences.test.ts. */

/** A difference, as a row of a table. */
export interface Difference {
  readonly Difference: string;
  readonly 'With opossum': string;
  readonly Native: string;
  readonly Why: string;
}

const known = {
  straggler: {
    Difference: 'A call from before the opening ends while the circuit is half-open',
    'With opossum': 'its success closes the circuit, its failure opens it again',
    Native: 'it is told as `circuit-breaker.late` and counts nowhere',
    Why: 'it says how things were, not how they are; only the probe was sent to find out',
  },
  'kept-window': {
    Difference: 'Failures from before the opening',
    'With opossum': 'are still in the window when the circuit has closed, so that one more failure may open it at once; so is the probe',
    Native: 'a circuit that closes begins with an empty window',
    Why: 'what led to the opening has been dealt with by it',
  },
  'share-of': {
    Difference: 'What the failures are a share of',
    'With opossum': 'all calls that were fired: also those that were refused, and those that are still under way',
    Native: 'the calls that ended as a success or a failure',
    Why: 'refusals and open questions are no proof of health, and make a rate of 100 % look like a small one',
  },
  'opens-on-success': {
    Difference: 'When the rate is looked at',
    'With opossum': 'after failures only',
    Native:
      'after every call that counts: a success that completes `volumeThreshold`, or comes when earlier ones have left the window, may open the circuit too',
    Why: 'the rate is above the threshold, whichever call made it so',
  },
  locked: {
    Difference: 'A call that finds `capacity` taken',
    'With opossum': 'is a failure: a burst opens the circuit, and a probe that meets one does',
    Native: 'is refused with a `BulkheadFullError`, and is nobody’s failure',
    Why: 'it was never sent, so it says nothing about the dependency',
  },
  slots: {
    Difference: 'Work that goes on after its timeout',
    'With opossum': 'gives its place up at once, so that more run than `capacity` says',
    Native: "holds its place until it ends; its signal has aborted. `bulkhead({ releaseOn: 'timeout' })` for opossum’s way",
    Why: 'a bound that does not hold when things are slow is none',
  },
  'hung-probe': {
    Difference: 'With `timeout: false`, a probe that never ends',
    'With opossum': 'leaves the circuit half-open for ever, and all calls are refused',
    Native: 'counts as failed after 30 s (`halfOpen.probeTimeout`), and another one is sent when it is time',
    Why: 'a probe is lent a place, not given it',
  },
  'warm-probe': {
    Difference: 'During `allowWarmUp`, a probe that fails (of a circuit that was opened by hand)',
    'With opossum': 'leaves the circuit half-open for ever',
    Native: 'opens the circuit again',
    Why: 'a warm-up is about the window, not about probes',
  },
  rounding: {
    Difference: 'A rate that equals the threshold, where percentages are rounded: 7, 14, 28, 55, 56 %',
    'With opossum': 'is above it: 7 of 100 come to 7.000000000000001 %',
    Native: 'is not above it',
    Why: 'rates are compared as shares, which are exact here',
  },
  turn: {
    Difference: 'When a part of the window leaves it',
    'With opossum': 'whole parts after the breaker was made, by a timer',
    Native: 'at full parts of the clock, without one: up to a part earlier',
    Why: 'nothing needs to run while nobody calls',
  },
  rotated: {
    Difference: '`rotateBucketController`',
    'With opossum': 'moves the window on when it emits `rotate`, and only then',
    Native: 'is not asked: the clock moves the window on',
    Why: 'it is there to save timers, and there are none',
  },
  timers: {
    Difference: 'Timers of a breaker at rest',
    'With opossum': 'two intervals, for as long as it lives',
    Native: 'none',
    Why: 'times are compared when somebody calls or looks',
  },
  'half-opens': {
    Difference: 'When the open time is over',
    'With opossum': 'a timer makes the circuit half-open, and `halfOpen` is emitted',
    Native: 'it is half-open for whoever looks; the event comes with the next call. `recover: { auto: true }` for a timer',
    Why: 'the same',
  },
  tie: {
    Difference: 'An answer in the very millisecond of its timeout',
    'With opossum': 'is too late',
    Native: 'is in time',
    Why: 'one timer serves all calls, and an answer that is there is taken',
  },
  'filter-throws': {
    Difference: 'An `errorFilter` that throws',
    'With opossum': 'leaves the caller without an answer for ever, with an unhandled rejection',
    Native: 'is reported as `pipeline.callback-failed`; the caller gets its error, which counts nowhere',
    Why: 'a call settles, whatever the user’s functions do',
  },
  'filter-sees': {
    Difference: 'What `errorFilter` is asked about, beside errors of the work',
    'With opossum': 'timeouts (`ETIMEDOUT`) and refusals by `capacity` (`ESEMLOCKED`)',
    Native: 'timeouts (a `TimeoutError`, `ERR_TIMEOUT`); refusals count nowhere',
    Why: 'there is one family of errors, and a refusal is nobody’s failure',
  },
  'answers-at-once': {
    Difference: 'Work that returns `undefined` and no promise',
    'With opossum': 'has failed ("reading \'then\'"), and may open the circuit',
    Native: 'has answered',
    Why: 'a function may be synchronous',
  },
  listener: {
    Difference: 'A listener that throws at a success',
    'With opossum': 'makes a failure of it, for the caller and for the circuit',
    Native: 'is reported; the caller gets the answer',
    Why: 'who listens has no say',
  },
  aborted: {
    Difference: 'A caller that gives up (its `AbortSignal`)',
    'With opossum': 'is unknown to it: what the work then rejects with is a failure',
    Native: 'counts as neither, and is answered at once if the work does not listen',
    Why: 'the dependency has done nothing wrong',
  },
  'switched-off': {
    Difference: 'Switching off while it runs',
    'With opossum': '`disable()` takes timeout and capacity off too',
    Native: "`disable()` of the circuit breaker is that of the circuit. For all of them: `mode: () => (enabled ? 'enforce' : 'off')`",
    Why: 'three policies, each with its own controls',
  },
  'throws-when-off': {
    Difference: 'With `enabled: false`, work that throws and returns no promise',
    'With opossum': 'throws out of `fire()`',
    Native: 'is a rejection, as ever',
    Why: 'whoever switches it off need not change how it is called',
  },
  'restored-window': {
    Difference: 'A window restored from `status` as plain data',
    'With opossum': 'is 10 s long in 10 parts, whatever the options say',
    Native: 'is as long as the options say',
    Why: 'they are the options of this circuit',
  },
  statistics: {
    Difference: 'Statistics',
    'With opossum':
      'percentiles of all latencies in the window, sorted anew at each failure; a `snapshot` event for each part (`rollingPercentilesEnabled`, `enableSnapshots`)',
    Native: 'counts and a mean in `snapshot()`, when somebody asks; percentiles are for whoever listens to the events',
    Why: 'a failure should cost the same under load',
  },
  options: {
    Difference: 'The object with the options',
    'With opossum': 'is written to, and shared by all breakers that were made of it',
    Native: 'is read once',
    Why: 'two breakers made of one literal are two breakers',
  },
} as const satisfies Readonly<Record<string, Difference>>;

/** What a difference is called. */
export type DifferenceName = keyof typeof known;

/** By name. */
export const differences: Readonly<Record<DifferenceName, Difference>> = known;

/** For the guide. */
export const rows: readonly Difference[] = Object.values(differences);
