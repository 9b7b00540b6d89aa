import type { Meter } from '../../algorithms/meters/meter.ts';
import { OptionsError, type OptionProblem } from '../../core/errors.ts';
import { show } from '../../core/options.ts';
import type { AnyPolicy } from '../../core/policy.ts';
import { SharedLimiter } from '../../stores/limiter/shared-limiter.ts';

/** A limiter of any kind. */
export type AnyLimiter = SharedLimiter<Meter<unknown>, unknown, unknown>;

/** A limiter as a part of another: what it keeps, with those who wait for it by themselves in front. Its own clock and pipelines stay its own affair. */
export class Part implements Meter<unknown> {
  readonly limiter: AnyLimiter;

  constructor(limiter: AnyLimiter) {
    this.limiter = limiter;
  }

  wait(cost: unknown, now: number): number {
    return this.limiter.wait(cost, now);
  }

  take(cost: unknown, now: number): unknown {
    return this.limiter.meter.take(cost, now);
  }

  giveBack(receipt: unknown, now: number): void {
    this.limiter.giveBack(receipt, now);
  }

  drain(now: number): void {
    this.limiter.drain(now);
  }

  isFresh(now: number): boolean {
    return this.limiter.atRest(now);
  }

  begin(): void {} // it began when it was joined

  /** What it keeps alone: those who wait for it are not rehearsed. */
  copy(): Meter<unknown> {
    return this.limiter.meter.copy();
  }
}

/**
 * The policies as limiters.
 *
 * @throws OptionsError if one is none, is there twice, or could not do here what it does
 */
export function limitersOf(owner: string, given: unknown): readonly AnyLimiter[] {
  const list: readonly unknown[] = Array.isArray(given) ? given : [];
  const problems = list.flatMap((policy, i) => problemOf(`${owner}[${i}]`, policy, list.slice(0, i)) ?? []);
  if (list.length === 0) problems.push({ path: owner, expected: 'an array with at least one rate limiter', got: show(given) });
  const [first, ...others] = problems;
  if (first !== undefined) throw new OptionsError([first, ...others]);
  return Object.freeze([...list]) as readonly AnyLimiter[];
}

function problemOf(path: string, policy: unknown, before: readonly unknown[]): OptionProblem | undefined {
  if (!(policy instanceof SharedLimiter)) {
    const expected = 'a rate limiter, such as tokenBucket or fixedWindow: nothing else can be charged together with others';
    return { path, expected, got: kindOf(policy) ?? show(policy) };
  }
  const limiter = policy as AnyLimiter;
  const got = kindOf(limiter) as string;
  if (limiter.kind === 'adaptive-rate')
    return { path, expected: 'a limiter that has its limit from you: one that learns from outcomes stands beside the others', got };
  if (limiter.mode !== 'enforce') return { path, expected: "a limiter with mode 'enforce': what mode all have together is said here", got };
  const mine = leavesOf(limiter);
  if (before.some((other) => other instanceof SharedLimiter && leavesOf(other as AnyLimiter).some((leaf) => mine.includes(leaf))))
    return { path, expected: 'each limiter once: a call would be charged twice', got: `${got} again` };
  return undefined;
}

/** What a composite is made of in the end, or the limiter itself. */
function leavesOf(limiter: AnyLimiter): readonly AnyLimiter[] {
  const { parts } = limiter.meter as { readonly parts?: readonly Part[] };
  return parts === undefined ? [limiter] : parts.flatMap((part) => leavesOf(part.limiter));
}

function kindOf(policy: unknown): string | undefined {
  const { kind } = Object(policy) as Partial<AnyPolicy>;
  return typeof kind === 'string' ? `a policy of kind '${kind}'` : undefined;
}
