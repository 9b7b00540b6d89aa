import { tokenBucket } from '../../src/policies/token-bucket.ts';
import { exceeds } from '../../src/algorithms/meters/meter.ts';
import { Bucket } from '../../src/algorithms/meters/token-bucket.ts';

interface Config {
  readonly ratePerSec: number;
  readonly burst: number;
}

interface Step {
  readonly at: number;
  readonly op: string;
  readonly n: number;
  readonly as?: string;
  readonly ref: string;
  readonly maxWait?: number;
  readonly ratePerSec: number;
  readonly burst: number;
  readonly everyMs: number;
  readonly forMs: number;
}

export interface Input {
  readonly fn: string;
  readonly intervalMs: number;
  readonly count: number;
  readonly periodMs: number;
  readonly config: Config;
}

const limitOf = ({ ratePerSec, burst }: Config): { rate: number; per: number; burst: number } => ({ rate: ratePerSec, per: 1000, burst });

/** The token bucket as the vectors ask for it: the state that the policy keeps, at times of their choice, for holders who were told when to act. */
class Asked {
  readonly #bucket: Bucket;
  readonly #reserved = new Map<string, { readonly cost: number; readonly actAt: number }>();

  constructor(config: Config) {
    this.#bucket = new Bucket(limitOf(config), config.burst, 0);
  }

  step({ op, at, n, as, ref, maxWait = Infinity, ratePerSec, burst, everyMs, forMs }: Step): object {
    const bucket = this.#bucket;
    switch (op) {
      case 'allow':
        return { tokensBefore: bucket.available(at), ok: this.#allow(n, at) };
      case 'loopAllow': {
        let count = 0;
        for (let now = at; now <= at + forMs; now += everyMs) if (this.#allow(n, now)) count++;
        return { count };
      }
      case 'hit': {
        const wait = bucket.wait(n, at);
        const limited = !this.#allow(n, at);
        const retryAfterMs = limited && wait < Infinity ? wait : -1;
        return {
          limited,
          limit: bucket.limit.burst,
          remaining: Math.floor(bucket.available(at)),
          resetAfterMs: bucket.reach(bucket.limit.burst, at),
          retryAfterMs,
        };
      }
      case 'reserve': {
        const wait = bucket.wait(n, at);
        if (exceeds(wait, maxWait, at)) return { ok: false };
        bucket.take(n, at);
        if (as !== undefined) this.#reserved.set(as, { cost: n, actAt: at + wait });
        return { ok: true, actAt: at + wait };
      }
      case 'cancel': {
        const { cost, actAt } = this.#reserved.get(ref) as { cost: number; actAt: number };
        bucket.cancel(cost, actAt, at);
        return {};
      }
      case 'setRate':
        bucket.change({ ...bucket.limit, rate: ratePerSec, per: 1000 }, at);
        return {};
      case 'setBurst':
        bucket.change({ ...bucket.limit, burst }, at);
        return {};
      default:
        throw new Error(`not offered: ${op}`);
    }
  }

  #allow(n: number, at: number): boolean {
    if (this.#bucket.wait(n, at) > 0) return false;
    this.#bucket.take(n, at);
    return true;
  }
}

export const adapter = {
  make: (config: Config): object => new Asked(config),
  fn({ fn, intervalMs, count, periodMs, config }: Input): object {
    switch (fn) {
      case 'rateFromInterval': {
        const { rate, per } = tokenBucket({ rate: 1, per: intervalMs }).snapshot();
        return { ratePerSec: (rate / per) * 1000 };
      }
      case 'emissionInterval': {
        const { rate, per } = tokenBucket({ rate: count, per: periodMs }).snapshot();
        return { intervalMs: per / rate };
      }
      case 'construct':
        return tokenBucket(limitOf(config));
      default:
        throw new Error(`not offered: ${fn}`);
    }
  },
};
