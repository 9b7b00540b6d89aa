/** How chaos decides, in one pipeline: whether a call is broken, and how. */

import { Lottery } from '../../algorithms/lottery.ts';
import type { SafetyValve } from '../../algorithms/safety-valve.ts';
import type { Call } from '../../core/call.ts';
import type { Random } from '../../core/clock.ts';
import type { CommonSettings } from '../../core/mode.ts';
import { show } from '../../core/options.ts';
import { type Outcome, thrown } from '../../core/outcome.ts';
import type { Handler } from '../../core/policy.ts';
import type { Scope } from '../../core/scope.ts';
import { type InjectionName, type InjectionSettings, attend, injectionNames, injections } from './injections.ts';

/** A stretch of the script, as read. */
export interface ChaosWindowSettings {
  readonly from: number;
  readonly to: number;
  readonly rate: Rate | undefined;
  readonly inject: readonly InjectionName[] | undefined;
}

type Rate = number | ((call: Call) => number | PromiseLike<number>);

/** Options of chaos, as read. */
export interface ChaosSettings extends CommonSettings, InjectionSettings {
  readonly rate: Rate;
  readonly weights: Partial<Readonly<Record<InjectionName, number>>>;
  readonly enabled: boolean | ((call: Call) => boolean | PromiseLike<boolean>);
  readonly only: ((call: Call) => boolean) | undefined;
  readonly seed: number | undefined;
  readonly schedule: readonly ChaosWindowSettings[] | undefined;
  readonly maxPerMinute: number;
  readonly allowInProduction: boolean;
}

/** What chaos keeps, in all its pipelines together. */
export interface ChaosState {
  readonly settings: ChaosSettings;
  readonly valve: SafetyValve;
  /** Chance of its own, if it has a seed: whether a call is hit, and all that follows from it. */
  readonly seeded: { readonly hits: Random; readonly details: Random } | undefined;
  /** When the first call came by, ms: the script begins. */
  begun: number | undefined;
  readonly injected: Record<string, number>;
  /** Injections that were only shown. */
  shown: number;
  /** Injections that the cap prevented. */
  capped: number;
}

/** What the options inject: what is given, or latency if nothing is. */
export function given(settings: InjectionSettings): readonly InjectionName[] {
  const names = injectionNames.filter((name) => settings[name] !== undefined);
  return names.length === 0 ? ['latency'] : names;
}

/** A stretch of time with what may happen in it. */
interface Stretch {
  readonly from: number;
  readonly to: number;
  readonly rate: Rate;
  readonly lottery: Lottery<InjectionName>;
}

/** Chaos in its place in one pipeline. */
export class ChaosRules {
  readonly #state: ChaosState;
  readonly #next: Handler;
  readonly #scope: Scope;
  readonly #stretches: readonly Stretch[];
  readonly #hits: Random;
  readonly #details: Random;

  constructor(state: ChaosState, next: Handler, scope: Scope) {
    const { settings, seeded } = state;
    const { rate, weights, schedule = [{ from: -Infinity, to: Infinity, rate, inject: undefined }] } = settings;
    this.#state = state;
    this.#next = next;
    this.#scope = scope;
    this.#hits = seeded?.hits ?? scope.random;
    this.#details = seeded?.details ?? scope.random;
    this.#stretches = schedule.map((stretch) => {
      const tickets = (stretch.inject ?? given(settings)).map((prize) => ({ prize, weight: weights[prize] ?? 1 }));
      return { from: stretch.from, to: stretch.to, rate: stretch.rate ?? rate, lottery: new Lottery(tickets) };
    });
  }

  readonly handle: Handler = (call) => {
    const stretch = this.#stretchOf(call);
    if (stretch === undefined || !this.#concerns(call)) return this.#next(call);
    let asked = 'enabled';
    try {
      const { enabled } = this.#state.settings;
      const on = typeof enabled === 'function' ? enabled(call) : enabled;
      if (on === false) return this.#next(call);
      asked = 'rate';
      const rate = typeof stretch.rate === 'function' ? stretch.rate(call) : stretch.rate;
      if (typeof on === 'boolean' && typeof rate === 'number') return this.#try(call, stretch, checked(rate));
      return this.#await(call, stretch, on, rate);
    } catch (error) {
      this.#scope.report(asked, error);
      return this.#next(call);
    }
  };

  async #await(call: Call, stretch: Stretch, on: unknown, rate: unknown): Promise<Outcome> {
    const found = await attend(call, async () => ((await on) === true ? checked(await rate) : 0));
    if (found.cut !== undefined) return found.cut;
    call.at = this.#scope.clock.now();
    if (!('error' in found)) return await this.#try(call, stretch, found.value as number);
    this.#scope.report('rate', found.error);
    return await this.#next(call);
  }

  #stretchOf(call: Call): Stretch | undefined {
    if (call.failure !== undefined) return undefined;
    this.#state.begun ??= call.at;
    const elapsed = call.at - this.#state.begun;
    return this.#stretches.find(({ from, to }) => elapsed >= from && elapsed < to);
  }

  #concerns(call: Call): boolean {
    const { only } = this.#state.settings;
    return only === undefined || this.#scope.ask('only', false, () => (only(call) as unknown) === true);
  }

  /** A hit takes two more numbers, whatever comes of it, so that one call's luck does not depend on another's. */
  #try(call: Call, { lottery }: Stretch, rate: number): Promise<Outcome> {
    if (this.#hits() >= rate) return this.#next(call);
    const name = lottery.draw(this.#details());
    const u = this.#details();
    if (name === undefined) return this.#next(call);
    if (!this.#state.valve.admit(call.at)) {
      this.#state.capped++;
      return this.#next(call);
    }
    return this.#scope.shadow ? this.#show(call, name) : this.#inject(call, name, u);
  }

  #show(call: Call, injection: InjectionName): Promise<Outcome> {
    this.#state.shown++;
    if (this.#scope.listening) this.#scope.emit('chaos.would-inject', 'info', call, { injection });
    return this.#next(call);
  }

  async #inject(call: Call, injection: InjectionName, u: number): Promise<Outcome> {
    const scope = this.#scope;
    const { injected, settings } = this.#state;
    const done = (fields: object = {}): void => {
      injected[injection] = (injected[injection] ?? 0) + 1;
      if (scope.listening) scope.emit('chaos.injected', 'info', call, { injection, ...fields });
    };
    try {
      return await injections[injection]({ call, next: this.#next, scope, settings, u, done });
    } catch (error) {
      return thrown(error);
    }
  }
}

function checked(rate: unknown): number {
  if (typeof rate === 'number' && rate >= 0 && rate <= 1) return rate;
  throw new RangeError(`chaos.rate: expected a function that answers with a share from 0 to 1, got ${show(rate)}`);
}
