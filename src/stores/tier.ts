import { Alarm } from '../core/alarm.ts';
import type { Call } from '../core/call.ts';
import { TimeoutError } from '../core/errors.ts';
import { made } from '../core/made.ts';
import { Frame } from '../core/frame.ts';
import { type Fields, anything, count, duration, fn } from '../core/options.ts';
import { Failure, type Outcome } from '../core/outcome.ts';
import type { PlainData } from '../core/policy.ts';
import { follow } from '../core/run.ts';
import type { Scope } from '../core/scope.ts';

/** A lesser answer: a value, or a function that finds one. */
export interface TierSettings {
  readonly value: unknown;
  readonly run: ((error: unknown, call: Call) => unknown) | undefined;
  readonly timeout: number;
  readonly maxConcurrent: number;
}

/** Their fields, for the tables of policies that answer in place of the work. */
export const tierFields: Fields<TierSettings> = {
  value: anything().optional(),
  run: fn<(error: unknown, call: Call) => unknown>('(error, call) => value').optional(),
  timeout: duration({ min: 0.001, infinite: true }).or(Infinity),
  maxConcurrent: count({ min: 1, infinite: true }).or(10),
};

/**
 * One place where a lesser answer comes from, with its own bound on how many look for one at the same time: when everything fails at once,
 * what stands in must not be the next thing to fall over.
 */
export class Tier {
  readonly name: string;
  readonly settings: TierSettings;
  /** Answers it has found by its function that are still being waited for, abandoned ones included. */
  running = 0;
  used = 0;
  failed = 0;
  /** How often it was full. */
  skipped = 0;

  constructor(name: string, settings: TierSettings) {
    this.name = name;
    this.settings = settings;
  }

  /** Whether it runs a function, which takes time and may fail. */
  get runs(): boolean {
    return this.settings.run !== undefined;
  }

  get full(): boolean {
    return this.running >= this.settings.maxConcurrent;
  }

  /** Lets the function find an answer, for as long as the tier's time allows. */
  find(error: unknown, call: Call, scope: Scope): Promise<Outcome> {
    const { timeout } = this.settings;
    const now = scope.clock.now();
    const own = call.derive(call.attempt, now + timeout);
    const alarm = timeout === Infinity ? undefined : new Alarm(scope.clock, () => this.#expire(own, scope));
    alarm?.set(now + timeout, now);
    const frame = new Frame([], (inner) => follow(inner, () => this.#start(error, inner)));
    return frame.handle(own).then((found) => {
      alarm?.clear();
      call.release(own);
      return found;
    });
  }

  snapshot(): PlainData {
    const { name, used, failed, skipped, running } = this;
    return this.runs ? { name, used, failed, skipped, running } : { name, used };
  }

  /** A function that answers without a promise takes no place; what is abandoned keeps its place until it has really ended. */
  #start(error: unknown, call: Call): unknown {
    const result = (this.settings.run as NonNullable<TierSettings['run']>)(error, call);
    if (typeof (result as { then?: unknown } | null | undefined)?.then !== 'function') return result;
    this.running++;
    const leave = (): void => {
      this.running--;
    };
    const answer = result instanceof Promise ? result : new Promise((resolve) => resolve(result));
    answer.then(leave, leave);
    return answer;
  }

  #expire(own: Call, { pipeline, policy, stack }: Scope): void {
    const { timeout: after } = this.settings;
    const message = `${pipeline}: ${policy} (${this.name}) found no answer in ${after} ms`;
    own.cut(new Failure(made(TimeoutError, message, { pipeline, policy, key: own.key, after }, stack), 'timeout'));
  }
}

/** An error that came up while another one was dealt with tells of that one. */
export function causedBy(error: unknown, first: unknown): void {
  try {
    if (error instanceof Error && error.cause === undefined && error !== first && first !== undefined && Object.isExtensible(error))
      error.cause = first;
  } catch {
    // An error that does not let itself be looked at or changed.
  }
}
