/**
 * The timed loops, and the work they ask for.
 *
 * Every contestant gets a loop and a work function compiled for it alone. V8 keeps what it learns about a function (types seen, code inlined) with the
 * place in the source where it was written: one shared loop would learn the promises, closures and objects of all contestants, and run each of
 * them with code that expects any of them. A number in the source makes each compilation a new one, also to the compilation cache.
 * The loops are plain async functions, as a user would write them.
 */

let compiled = 0;

function compile(names, body) {
  return new Function(...names, `/* ${compiled++} */ 'use strict'; return ${body};`);
}

/** What a loop counts, so that nobody wins by not doing the work. */
export class Tally {
  /** Runs of the work. */
  ran = 0;
  /** Calls that answered with what the work answers with. */
  answered = 0;
  /** Calls that rejected. */
  refused = 0;
}

const bodies = {
  /** One call after the other. */
  sequential: `async (n) => {
    let answered = 0;
    const start = now();
    for (let i = 0; i < n; i++) if ((await call(i)) === 1) answered++;
    const end = now();
    tally.answered += answered;
    return end - start;
  }`,
  /** One call after the other, each of which is expected to reject. */
  refused: `async (n) => {
    let refused = 0;
    const start = now();
    for (let i = 0; i < n; i++) {
      try {
        await call(i);
      } catch {
        refused++;
      }
    }
    const end = now();
    tally.refused += refused;
    return end - start;
  }`,
  /** 100 callers at once, each of which makes one call after the other. */
  callers: `async (n) => {
    let answered = 0;
    const one = async () => {
      for (let i = 0; i < n / 100; i++) if ((await call(i)) === 1) answered++;
    };
    const start = now();
    const callers = [];
    for (let i = 0; i < 100; i++) callers.push(one());
    await Promise.all(callers);
    const end = now();
    tally.answered += answered;
    return end - start;
  }`,
};

/** A loop of this kind around `call`: runs it `n` times, answers with the milliseconds that took, counts in `tally`. */
export function freshLoop(kind, call, tally) {
  return compile(['call', 'now', 'tally'], bodies[kind])(call, performance.now.bind(performance), tally);
}

const works = {
  /** Answers at once. */
  immediate: `async () => {
    tally.ran++;
    return 1;
  }`,
  /** Answers after a turn of the event loop. */
  turn: `() => {
    tally.ran++;
    return new Promise((resolve) => setImmediate(resolve, 1));
  }`,
};

/** The work of one contestant: answers with 1 and counts its runs. */
export function freshWork(kind, tally) {
  return compile(['tally'], works[kind])(tally);
}
