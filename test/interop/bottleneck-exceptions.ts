import type { LawException } from 'breakwater/testing';

/** Laws of the contract suite that bottleneck cannot keep. The suite is run with timers of no length that do not wait (see bottleneck-turns.ts); without that, all that begin work break. */
export const exceptions: readonly LawException[] = [
  { law: 'a clock that goes back', because: 'the work begins some turns of the event loop after the call came, and never at once' },
];

/** What bottleneck cannot keep, for the docs. Each is asserted in bottleneck-laws.test.ts, under its title. */
export const rows = [
  {
    Law: 'Where nothing stands in the way, work begins at once',
    Why: 'Each job passes three timers before it begins and one after it ended: some milliseconds a call, and `tryAcquire` is always refused. A slot is free one turn of the event loop after its call was answered.',
  },
  {
    Law: 'Time is that of the pipeline',
    Why: 'Bottleneck has no clock but that of the process: a virtual clock does not move it, fake timers do.',
  },
  {
    Law: 'A clock that is set back stops nobody',
    Why: '`minTime` and the reservoir go by the time of day: set back by an hour, nothing starts for an hour.',
  },
  {
    Law: 'A call that is cut short while it waits gives its place back',
    Why: 'The call has its answer at once, but no job leaves the queue before its turn: until then it counts for `highWater`, and then it runs empty, which takes its weight of the reservoir and a start of `minTime`.',
  },
  {
    Law: 'What is turned away further in gives everything back',
    Why: 'The slot comes back; what was taken of the reservoir and of `minTime` does not.',
  },
  {
    Law: 'A slot is held until the work has ended',
    Why: 'After its `expiration` the signal of the work aborts, and bottleneck gives the slot away whether the work has ended or not. With a timeout or an abort outside, it is held.',
  },
  {
    Law: 'A limit counts every attempt',
    Why: 'What a listener to `failed` asks for runs in the same job: past `minTime` and the reservoir.',
  },
  {
    Law: 'A call that would wait for itself is refused',
    Why: 'What its own work holds is known, and where that leaves too little the call is refused. Works that wait for one another are not seen: two of them hold a slot each, there is no third, and each makes a call. A deadline or a timeout ends it.',
  },
  {
    Law: 'Whoever fits is let in',
    Why: 'The first in the queue goes first: a heavy call that does not fit holds up light ones that would.',
  },
  {
    Law: 'Nothing grows without bound',
    Why: 'Without a `highWater` the queue does; with `trackDoneStatus` so does the list of ids.',
  },
  {
    Law: 'A policy per key goes only when it is at rest',
    Why: 'A `Group` lets a limiter go that has started nothing for its `timeout`, also if work runs in it: the next call of the key gets a new one.',
  },
  {
    Law: 'What waits in a policy per key is let in in the end',
    Why: 'With a limiter that its `Group` lets go, by `deleteKey` too, goes the timer that fills its reservoir: calls that wait for it wait for good. A group whose `timeout` is not longer than that interval is refused; a deadline or a timeout ends the wait.',
  },
] as const;
