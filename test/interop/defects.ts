/**
 * What other packages do that one would rather they did not, and what happens here. Each row is shown by tests in the folder of the same name, under
 * these very words: in each of the packages it names, and with our own policies. `npm run docs` prints the rows.
 */

/** One defect, in the columns of the printed table. */
export interface Defect {
  readonly Defect: string;
  /** Names and major versions. */
  readonly Package: string;
  readonly 'What happens': string;
  readonly Here: string;
}

/** By topic; each has a file of tests. */
export const defects = {
  circuits: [
    {
      Defect: 'Stragglers count',
      Package: 'cockatiel 3, opossum 9 and 10',
      'What happens':
        'the result of a call from before the trip moves a half-open circuit: a failure opens it, in opossum a success closes it',
      Here: 'it counts nowhere, and is told as `circuit-breaker.late`',
    },
    {
      Defect: 'A probe that hangs',
      Package: 'cockatiel 3, opossum 9 and 10',
      'What happens':
        'a half-open circuit whose probe never settles never admits again: opossum refuses everybody, cockatiel lets everybody wait',
      Here: 'a probe counts as failed after `halfOpen.probeTimeout`, and the circuit is tried again',
    },
    {
      Defect: 'Refusals open the circuit',
      Package: 'cockatiel 3, opossum 9 and 10',
      'What happens': 'calls that a full bulkhead refused count as failures and open the circuit, though nothing has failed',
      Here: 'a refusal by a policy further in says nothing about the service, and counts nowhere',
    },
    {
      Defect: 'Cache hits dilute the rate',
      Package: 'opossum 9 and 10',
      'What happens':
        'ten of eleven calls to the service fail, and the circuit stays closed at 50 %, because twenty hits of its cache count as calls',
      Here: 'what is answered in front of the circuit is no call of it: ten failures of eleven open it',
    },
    {
      Defect: 'Calls under way dilute the rate',
      Package: 'opossum 9 and 10',
      'What happens':
        'every call that has ended has failed, and the circuit stays closed at 50 %, because those that hang count as calls that went well',
      Here: 'the rate is one of calls that have ended, and a slow one may count before it has',
    },
    {
      Defect: 'An idle hour keeps the window',
      Package: 'cockatiel 3',
      'What happens':
        'failures of an hour ago still count in a window of 10 s, because it moves on by calls: the first failure after an idle hour opens the circuit',
      Here: 'the window moves on by the clock',
    },
    {
      Defect: 'A restored circuit is half-open at once',
      Package: 'opossum 9 and 10',
      'What happens':
        'it is restored by the time when it was made instead of the time when it opened, so one that opened 1.5 s ago for 30 s admits at once',
      Here: 'the rest of the open time is waited for',
    },
    {
      Defect: 'Shutdown is not the end',
      Package: 'opossum 9 and 10',
      'What happens': 'health checks go on after `shutdown()`, and the first that fails undoes it: the work runs again, unguarded',
      Here: 'after `close()` no work runs, whatever a recovery probe says, and disposing of the circuit ends the probe',
    },
    {
      Defect: 'Failures cost more the more traffic there is',
      Package: 'opossum 9 and 10',
      'What happens': 'each failure copies and sorts the latencies of all calls in the window',
      Here: 'a failure adds to counts: nothing is copied or sorted, however many calls there were',
    },
    {
      Defect: 'A failure is shared',
      Package: 'opossum 9 and 10',
      'What happens':
        'with `coalesce` one failure answers all calls of its key for as long as `timeout` is (10 s), though the service is well again',
      Here: 'each call runs its own work and gets its own answer',
    },
    {
      Defect: 'Timers and listeners at rest',
      Package: 'opossum 9 and 10',
      'What happens':
        'a circuit keeps two intervals; with `rotateBucketController` it keeps a listener on it instead of one, for ever, and Node warns of a leak from the eleventh on',
      Here: 'a circuit at rest has no timer and no listener',
    },
    {
      Defect: 'The first failure opens',
      Package: 'opossum 9 and 10',
      'What happens': 'by default one failure of a fresh circuit opens it for 30 s',
      Here: 'by default a rate counts from 20 calls on',
    },
    {
      Defect: 'Work that answers with nothing',
      Package: 'opossum 9 and 10',
      'What happens': 'work that returns `undefined` without a promise is a failure, and opens the circuit',
      Here: 'it is a success like any other',
    },
    {
      Defect: 'A listener changes the answer',
      Package: 'opossum 9 and 10',
      'What happens': 'a listener of `success` that throws turns the success into a failure, which the caller gets and the circuit counts',
      Here: 'the caller gets the answer, and the mistake is reported',
    },
    {
      Defect: 'An isolation ends in a closed circuit',
      Package: 'cockatiel 3',
      'What happens': 'a circuit that was open when somebody isolated it is closed when they let go',
      Here: 'it is open again, for the rest of its time',
    },
    {
      Defect: 'The wall clock is set',
      Package: 'cockatiel 3',
      'What happens': 'set forward by an hour, an open circuit admits at once; set back, it stays open for an hour more',
      Here: 'the monotonic clock counts, and setting the other changes nothing',
    },
  ],
  options: [
    {
      Defect: 'The caller’s options object is changed',
      Package: 'bottleneck 2, opossum 9 and 10',
      'What happens':
        'defaults and state are written into it; two circuits made of one object share a cache, and one answers with what the other’s work said',
      Here: 'a frozen object will do, and two policies made of one object have nothing in common',
    },
    {
      Defect: 'NaN is taken for a limit',
      Package: 'bottleneck 2, cockatiel 3, opossum 9 and 10',
      'What happens': 'as a capacity it means no limit at all in opossum, and in the others that nothing ever runs',
      Here: 'it is refused at construction, with what was expected',
    },
    {
      Defect: 'An option without effect',
      Package: 'cockatiel 3',
      'What happens': 'the exponent of a backoff says nothing where the jitter is none, full or half: delays double, whatever it is',
      Here: '`factor` is what each delay is multiplied by',
    },
  ],
  slots: [
    {
      Defect: 'A timeout frees the slot of work that goes on',
      Package: 'bottleneck 2, cockatiel 3, opossum 9 and 10, p-limit 7, p-queue 9',
      'What happens':
        'with one slot, four calls that time out one after the other run at the same time (p-limit: with p-timeout around the work)',
      Here: 'a slot is free when its work has ended: one runs at a time',
    },
    {
      Defect: 'The async context is lost',
      Package: 'bottleneck 2, cockatiel 3, p-queue 9',
      'What happens':
        'work that waited for a slot runs in the `AsyncLocalStorage` context of another caller: the wrong user, tenant or trace',
      Here: 'it runs in that of its own caller',
    },
    {
      Defect: 'A limit inside itself',
      Package: 'bottleneck 2, cockatiel 3, p-limit 7, p-queue 9',
      'What happens': 'a call made within the work of another waits for a slot that only the other can give back: neither ever ends',
      Here: 'it is refused at once',
    },
    {
      Defect: 'An aborted call stays in the queue',
      Package: 'cockatiel 3',
      'What happens': 'its caller is not answered until a slot comes free, and until then it takes a place that others are refused for',
      Here: 'its caller is answered at once with the reason of the abort, and its place is free',
    },
    {
      Defect: 'The queue is overtaken',
      Package: 'cockatiel 3',
      'What happens': 'a call that comes as a slot is handed over takes it, and who had waited is put at the end again or refused',
      Here: 'the slot goes from one to the next, and a newcomer goes behind',
    },
    {
      Defect: 'Events that never come',
      Package: 'cockatiel 3',
      'What happens': '`onSuccess` and `onFailure` of a bulkhead can be listened to and are never emitted',
      Here: 'the kernel emits what became of each call, whatever the policies',
    },
    {
      Defect: 'A cleared queue leaves its callers waiting',
      Package: 'p-limit 7',
      'What happens': '`clearQueue()` forgets the calls that wait, and by default nobody ever answers them',
      Here: '`close()` lets them have their turn for as long as `drain` says, and answers the rest with a `ShutdownError`',
    },
    {
      Defect: 'Listeners on a shared signal',
      Package: 'p-queue 9',
      'What happens': 'a hundred calls under one signal are a hundred listeners on it',
      Here: 'at most one, whatever the number of calls',
    },
  ],
  limits: [
    {
      Defect: 'Timers for each call',
      Package: 'bottleneck 2',
      'What happens': 'a call that nothing holds back goes through four timers, one after the other, of a millisecond or more each',
      Here: 'it runs in the turn it was made in, without a timer',
    },
    {
      Defect: 'A queue bound that is passed',
      Package: 'bottleneck 2',
      'What happens': '`highWater` holds only where the queue is exactly as long: lowered below that, the queue grows without bound',
      Here: '`maxQueue` holds, whatever is resized',
    },
    {
      Defect: 'Waiters that are never let in',
      Package: 'bottleneck 2',
      'What happens':
        'any `updateSettings()` of a limiter with a refreshed reservoir stops the refreshing: who waits for it waits for ever',
      Here: 'who waits when a limit is changed goes by the new one',
    },
    {
      Defect: 'Intervals are rounded up',
      Package: 'bottleneck 2',
      'What happens': 'a reservoir that is refreshed every 50 ms is refreshed every 250 ms',
      Here: 'limits are exact to the millisecond',
    },
    {
      Defect: 'Retries pass the limit by',
      Package: 'bottleneck 2',
      'What happens': 'calls are to begin 200 ms apart, and a job that is retried runs four times at once',
      Here: 'a limit inside the retry counts each attempt',
    },
    {
      Defect: 'Keys that are names of the language',
      Package: 'bottleneck 2',
      'What happens':
        '`constructor` or `toString` as the key of a group answers with a function instead of a limiter: a name that a user chose is a TypeError',
      Here: 'a key is only a key',
    },
    {
      Defect: 'A window of a month',
      Package: 'rate-limiter-flexible 11',
      'What happens': 'a limit of 1 in 30 days lets everything pass, because its timer is longer than Node’s longest',
      Here: 'time is counted, not set as a timer: the second call is refused',
    },
    {
      Defect: 'Refused calls cost',
      Package: 'rate-limiter-flexible 11',
      'What happens': 'a call that asks for more than is left gets nothing and uses up the rest',
      Here: 'what is refused costs nothing',
    },
    {
      Defect: 'The wall clock is set back',
      Package: 'express-rate-limit 8, rate-limiter-flexible 11',
      'What happens': 'whoever has used up a window of a minute is told to wait for an hour and a minute',
      Here: 'the monotonic clock counts: at most a minute',
    },
  ],
  retries: [
    {
      Defect: 'An abort is slept through',
      Package: 'cockatiel 3',
      'What happens': 'a call that is aborted in its backoff sleeps on, and then runs the work once more',
      Here: 'the caller is answered at once, and the work does not run again',
    },
    {
      Defect: 'An aborted call runs',
      Package: 'cockatiel 3',
      'What happens': 'a call whose signal has aborted before it began runs the work all the same',
      Here: 'the work does not run',
    },
    {
      Defect: 'Retries without end or wait',
      Package: 'cockatiel 3',
      'What happens': 'by default a retry tries for ever, and without a wait',
      Here: 'by default there are three attempts, further apart each time',
    },
    {
      Defect: 'The last bad result is the answer',
      Package: 'cockatiel 3',
      'What happens': 'where results are retried and none was good, the last bad one is returned as if it were',
      Here: "an error says so, and has the result; `onExhausted: 'last'` returns it",
    },
    {
      Defect: 'The work is not told of the abort',
      Package: 'p-retry 7 and 9',
      'What happens': 'the work gets no signal, and the caller no answer until the attempt that is under way has ended',
      Here: 'the signal that the work got aborts, and the caller is answered at once',
    },
    {
      Defect: 'A long wait is none',
      Package: 'cockatiel 3, p-retry 7',
      'What happens': 'a wait of 2^31 ms or more, as growing delays come to, is over at once: the work is called without a pause',
      Here: 'waits of any length are waited for, in parts',
    },
    {
      Defect: 'Two clocks',
      Package: 'p-retry 7 and 9',
      'What happens': '`maxRetryTime` never ends where a test fakes `Date` and timers and not `performance`, as those of node:test do',
      Here: 'there is one clock, and it follows whatever is faked',
    },
    {
      Defect: 'What was thrown is replaced',
      Package: 'p-retry 7 and 9',
      'What happens': 'work that throws something other than an Error fails with a TypeError of the package',
      Here: 'the caller gets the very value',
    },
    {
      Defect: 'All come back together',
      Package: 'p-retry 7 and 9',
      'What happens': 'by default all who failed together try again together, to the millisecond',
      Here: 'by default chance spreads them',
    },
    {
      Defect: 'An outage multiplies the load',
      Package: 'p-retry 7 and 9',
      'What happens': 'by default a hundred calls to a service that is down are eleven hundred attempts',
      Here: 'a budget bounds the retries of all calls together: 220 attempts, of which a fifth of the calls and ten a second are retries',
    },
  ],
  timeouts: [
    {
      Defect: 'One signal for all',
      Package: 'opossum 9 and 10',
      'What happens': 'the timeout of one call aborts all that are under way, and those that come later find the signal aborted',
      Here: 'each call has its own signal',
    },
    {
      Defect: 'An abort is a timeout',
      Package: 'cockatiel 3',
      'What happens': 'a call that its caller aborts fails as timed out, and the timeout’s listeners hear so',
      Here: 'it fails with the reason of the abort, and no timeout is told of',
    },
    {
      Defect: 'A success aborts',
      Package: 'cockatiel 3',
      'What happens': 'the signal aborts when the work has answered, which cuts off a body that is still being read',
      Here: 'the signal of a call that went well does not abort',
    },
    {
      Defect: 'The work goes on',
      Package: 'opossum 9 and 10, p-timeout 7 and 8',
      'What happens': 'work that timed out is never told to stop',
      Here: 'its signal aborts',
    },
    {
      Defect: 'A month is over at once',
      Package: 'cockatiel 3, opossum 9 and 10, p-timeout 7',
      'What happens': 'a time limit of 2^31 ms or more is over after one',
      Here: 'it is as long as it says',
    },
    {
      Defect: 'An error and a timer for each call',
      Package: 'p-timeout 7 and 8',
      'What happens': 'each call makes the error, with its stack, that it will not need, and sets a timer of its own',
      Here: 'an error is made when time is over, and all calls of a timeout share one timer',
    },
    {
      Defect: 'Answers that were there in time',
      Package: 'cockatiel 3, opossum 9 and 10, p-timeout 7 and 8',
      'What happens': 'answers that came while the event loop was held up are thrown away as timed out',
      Here: 'they are looked at before a timeout that is late decides',
    },
  ],
} as const satisfies Readonly<Record<string, readonly Defect[]>>;

export type Topic = keyof typeof defects;

export const rows: readonly Defect[] = Object.values(defects).flat();
