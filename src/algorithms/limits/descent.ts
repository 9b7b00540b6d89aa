import { Elasticity } from './elasticity.ts';
import { meanOf } from './samples.ts';

/** Each step leaves so much of the limit; larger steps once it is clear that there is a queue. */
const STEP = 0.95;
const STRIDE = 0.85;
/** So many points a verdict needs, and so many are enough for one whatever the noise. */
const FEW = 4;
const MANY = 8;
/** While going down in large steps so many points are looked at: those before tell of a queue that is gone. */
const RECENT = 5;
/** Round trips that follow the load by more than this half-way wait in a queue. */
const HALF = 0.5;
/** So many of the last steps make the baseline; of large ones, those before may tell of a queue. */
const LAST = 3;
const LAST_STRIDES = 2;
/** So uncertain a verdict after large steps is at the least. */
const COARSE = 0.4;
/** Standard errors between a slope and the half-way mark that make a verdict sure. */
const SURE = 1.5;
/** And so many allow of large steps. */
const CERTAIN = 3;

/**
 * An experiment: the limit goes down step by step, and round trips show whether there is a queue of ours. As long as they get shorter with the limit there is,
 * and going down costs nothing, because the server is as busy as before. When they do not any more, they are what they are without a queue: the baseline.
 */
export class Descent {
  /** The limit where it began. */
  readonly from: number;
  readonly #rtt: number;
  readonly #answer = new Elasticity();
  readonly #rtts: number[] = [];
  #striding = false;

  /** @param rtt - what round trips took before */
  constructor(from: number, rtt: number) {
    this.from = from;
    this.#rtt = rtt;
  }

  /** Takes a sample in; answers with the next limit, or `undefined` if the baseline is found: at the latest at `min`, where nothing of ours can wait. */
  step(limit: number, min: number, rtt: number, mean: number, inflight: number): number | undefined {
    const answer = this.#answer;
    answer.add(inflight, mean, this.#striding ? RECENT : MANY);
    this.#rtts.push(rtt);
    const sure = answer.size >= MANY || (answer.size >= FEW && Math.abs(answer.slope - HALF) > SURE * answer.error);
    if (Math.floor(limit) <= min || (sure && answer.slope < HALF)) return undefined;
    this.#striding ||= sure && answer.slope - HALF > CERTAIN * answer.error;
    return Math.max(min, Math.min(limit - 1, limit * (this.#striding ? STRIDE : STEP)));
  }

  /** What round trips take without a queue, ms: the mean of the last steps. */
  get baseline(): number {
    return meanOf(this.#rtts.slice(this.#striding ? -LAST_STRIDES : -LAST)) ?? 0;
  }

  /** How large a limit leaves no queue, going by how much longer round trips took where it began. */
  get knee(): number {
    return Math.ceil(this.from * Math.min(1, this.baseline / this.#rtt));
  }

  /** How sure the verdict is: the standard error of the slope. */
  get error(): number {
    const { error } = this.#answer;
    return Math.max(error > 0 ? error : 0, this.#striding ? COARSE : 0);
  }
}
