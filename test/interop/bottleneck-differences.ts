/** Where the native policies for the options of a bottleneck decide otherwise than the package. Each is shown, on both sides, in bottleneck-differential.test.ts; the guide prints them. */

export const rows = [
  {
    Difference: 'Work that goes on after its expiration',
    'With bottleneck': 'Its place is free at once: `maxConcurrent: 1` has been seen with four at work.',
    Native: "It keeps its place until it ends; the call is answered in time. The work's signal aborts, so it can end at once.",
    Why: "What is still running still loads what you protect. `bulkhead({ releaseOn: 'timeout' })` does as bottleneck does.",
  },
  {
    Difference: 'Retries',
    'With bottleneck':
      'What a listener to `failed` asks for runs in the place that the job holds, past `minTime` and the reservoir: four attempts in a moment with `minTime: 200`.',
    Native: 'A `retry` outside waits its turn for each attempt; a `retry` further in does as bottleneck does.',
    Why: 'A limit that failures get past is none.',
  },
  {
    Difference: 'A queue above its mark',
    'With bottleneck':
      '`highWater` is compared with `==`. A light job that would fit is queued past it, or it is lowered below the queue, and from then on the queue has no bound.',
    Native: 'No more wait than the mark says.',
    Why: 'It is a fault there.',
  },
  {
    Difference: 'When a reservoir is refilled',
    'With bottleneck': 'At the next heartbeat (`heartbeatInterval`, 250 ms) after it was due: an interval of 50 ms is one of 250.',
    Native: 'When it is due. There is no heartbeat to set, and no timer while nobody waits.',
    Why: 'The state is worked out from the clock whenever somebody asks.',
  },
  {
    Difference: 'How a reservoir is increased',
    'With bottleneck': 'All of `reservoirIncreaseAmount` at once, at the end of each interval.',
    Native: 'Bit by bit over the interval, so a call may start up to one interval sooner or later.',
    Why: 'A token bucket has no lumps that everybody waits for. What is filled to the brim by one increase is a fixed window, exactly as there.',
  },
  {
    Difference: 'A weight that no refill covers',
    'With bottleneck': 'The job waits for ever, and all behind it do.',
    Native: 'The call is refused at once: its `retryAfter` is `Infinity`.',
    Why: 'It could never run.',
  },
  {
    Difference: 'Weights of nothing',
    'With bottleneck': 'A job of weight 0 takes no place, and runs however full it is.',
    Native:
      'If a function or `cost` says 0, the call takes one slot, and nothing of the reservoir. The constant `weight: 0` leaves both out.',
    Why: 'A slot bounds what is at work; what is at work has one.',
  },
  {
    Difference: 'Priority in the wait for the reservoir',
    'With bottleneck': 'One queue for all: whoever is more important overtakes there too.',
    Native: 'Priorities order the queue for slots. Who has a slot, or needs none, waits for the reservoir in the order of arrival.',
    Why: 'Rate limiters promise each call its time when it comes, and keep it.',
  },
  {
    Difference: 'The queue in front of both slots and reservoir',
    'With bottleneck': '`highWater` counts all who wait.',
    Native: 'It counts those who wait for a slot; up to `maxConcurrent` more may have one and wait for the reservoir.',
    Why: 'Each policy has a queue of its own.',
  },
  {
    Difference: 'OVERFLOW_PRIORITY among equals',
    'With bottleneck': 'Of the waiting jobs of the lowest priority the oldest goes.',
    Native: 'The newest goes.',
    Why: 'The oldest is the next to be served, and has waited for it.',
  },
  {
    Difference: 'The first start after BLOCK',
    'With bottleneck': 'No sooner than `minTime` after the end of the block.',
    Native: 'No sooner than `minTime` after the last start.',
    Why: 'The block is long over the time that spacing is about.',
  },
  {
    Difference: 'A caller that gives up',
    'With bottleneck': 'The job stays in the queue, is charged and run, and nobody wants it. There is no signal.',
    Native: 'The call is answered at once, leaves the queue, and what it was charged is given back. A deadline does the same.',
    Why: 'A queue of abandoned work is how services die.',
  },
  {
    Difference: 'A call from inside the work',
    'With bottleneck':
      'It waits for the place that the work holds that waits for it: for ever. `bottleneckLimiter` refuses it, if what its own work holds leaves too little.',
    Native: 'If all slots are taken it is refused at once, whoever holds the others.',
    Why: 'It could be waiting for itself.',
  },
  {
    Difference: 'The context of queued work',
    'With bottleneck': 'It runs in the `AsyncLocalStorage` of whoever made room for it: the tenant, trace or transaction of another.',
    Native: "It runs in its own caller's.",
    Why: 'It is a fault there.',
  },
  {
    Difference: 'What a job costs',
    'With bottleneck': 'Three timers of 0 ms one after the other, some 4.5 ms, also where there is room.',
    Native: 'None: where there is room the work starts in the same tick.',
    Why: 'Nothing has to be waited for.',
  },
  {
    Difference: 'rejectOnDrop: false',
    'With bottleneck': 'The promise of a job that is dropped is never settled.',
    Native: 'The call is refused, as with `bottleneckLimiter`.',
    Why: 'Whoever waits for an answer gets one.',
  },
  {
    Difference: 'Keys',
    'With bottleneck':
      "`group.key('constructor')` is no limiter, and keys are kept until they have been idle for five minutes, however many come.",
    Native: 'Any string is a key, and `perKey` keeps `max` of them.',
    Why: 'Keys come from outside.',
  },
] as const;
