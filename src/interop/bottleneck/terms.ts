import type { Call } from '../../core/call.ts';
import { LONGEST_TIMER } from '../../core/clock.ts';
import { show } from '../../core/options.ts';
import type { Priority } from '../../core/priority.ts';
import type { BottleneckJobSettings } from './fields.ts';
import type { JobOptions } from './job.ts';

/** Bottleneck's own default stands for calls of which nobody says how much they matter. */
export const priorities: Readonly<Record<Priority, number>> = {
  'critical-plus': 3,
  critical: 5,
  'sheddable-plus': 6,
  sheddable: 7,
  'best-effort': 9,
};

/** On what terms a call becomes a job: its priority, weight, expiration and id. */
export class JobTerms {
  readonly #settings: BottleneckJobSettings;

  constructor(settings: BottleneckJobSettings) {
    this.#settings = settings;
  }

  /** @throws RangeError if a function of the user's answers with what bottleneck would choke on: a weight that is no number would keep its slots for ever, an id that is a symbol is never heard of again */
  of(call: Call): JobOptions {
    const { priority, weight, expiration, id } = this.#settings;
    const chosen = ask(expiration, call, 'expiration', 'ms', isTime);
    const name = named(id?.(call));
    return {
      priority: ask(priority, call, 'priority', 'a whole number from 0 to 9', isPriority) ?? priorities[call.priority],
      weight: ask(weight, call, 'weight', 'a whole number of at least 0', isWeight) ?? Math.ceil(call.cost),
      // A timer takes 32 bits; what expires later than that does not.
      ...(chosen !== undefined && chosen < LONGEST_TIMER && { expiration: chosen }),
      ...(name !== undefined && { id: name }),
    };
  }

  /** As plain data. */
  describe(): Readonly<Record<'priority' | 'weight' | 'expiration' | 'id', unknown>> {
    const { priority, weight, expiration, id } = this.#settings;
    return {
      priority: typeof priority === 'function' ? 'computed' : (priority ?? "the call's"),
      weight: typeof weight === 'function' ? 'computed' : (weight ?? "the call's cost"),
      expiration: typeof expiration === 'function' ? 'computed' : expiration,
      id: id === undefined ? undefined : 'computed',
    };
  }
}

function ask(
  given: number | undefined | ((call: Call) => number | null | undefined),
  call: Call,
  option: string,
  expected: string,
  isRight: (value: number) => boolean,
): number | undefined {
  if (typeof given !== 'function') return given;
  const answer: unknown = given(call);
  if (answer === undefined || answer === null) return undefined;
  if (typeof answer === 'number' && isRight(answer)) return answer;
  throw new RangeError(`bottleneckLimiter.${option}: expected a function that answers with ${expected}, got ${show(answer)}`);
}

/** Bottleneck's word for a job without a name, which it gives one that nobody else has. */
const NO_NAME = '<no-id>';

function named(answer: unknown): string | undefined {
  if (answer === undefined || answer === null || answer === NO_NAME) return undefined;
  if (typeof answer === 'string') return answer;
  throw new RangeError(`bottleneckLimiter.id: expected a function that answers with a string, got ${show(answer)}`);
}

function isPriority(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 9;
}

function isWeight(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

function isTime(value: number): boolean {
  return value >= 0;
}
