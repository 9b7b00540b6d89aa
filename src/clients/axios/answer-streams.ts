/** Answers that are streams (`responseType: 'stream'`): followed to their end, or let go when another attempt takes their place. */

import { Readable, finished } from 'node:stream';
import type { Call } from '../../core/call.ts';
import { discard } from '../../core/disposal.ts';
import { comesIn } from '../../core/incoming.ts';
import { thrown } from '../../core/outcome.ts';

/** The streams of one request's attempts. */
export class AnswerStreams {
  readonly #held: unknown[] = [];

  /** Gates are told of the answer at the end of its stream; the end of the call is the end of it. */
  follow(call: Call, answer: { readonly data?: unknown }): void {
    const { data } = answer;
    if (!(data instanceof Readable)) return;
    this.#held.push(data);
    const end = comesIn(call, answer);
    const watch = call.root.derive();
    watch.waiter = ({ error }) => void data.destroy(error as Error);
    finished(data, (error) => {
      const { failure } = watch;
      call.root.release(watch);
      // Whoever closes it early wants no more of it, which is nobody's failure.
      if (failure !== undefined) end(failure);
      else if (error === null || error === undefined || isEarly(error)) end();
      else end(thrown(error));
    });
  }

  /** An answer that was thrown. */
  hold({ data }: { readonly data?: unknown }): void {
    if (data instanceof Readable) this.#held.push(data);
  }

  /** Another attempt takes its place. */
  drop(): void {
    for (const stream of this.#held.splice(0)) discard(stream);
  }

  /** This answer is the caller's; all others are nobody's. */
  keep(answer: unknown): void {
    const { data } = Object(answer) as { readonly data?: unknown };
    for (const stream of this.#held.splice(0)) if (stream !== data) discard(stream);
  }
}

function isEarly(error: NodeJS.ErrnoException): boolean {
  return error.code === 'ERR_STREAM_PREMATURE_CLOSE';
}
