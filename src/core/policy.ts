import type { Call } from './call.ts';
import { Frame } from './frame.ts';
import type { Mode } from './mode.ts';
import type { Outcome } from './outcome.ts';
import type { Quota } from './quota.ts';
import type { Scope } from './scope.ts';
import { ModedGate, ModedReaction, modedHandler } from './shadowing.ts';
import type { Gate, Reaction, Stage } from './stage.ts';

/** What lies inside a policy, seen from it: takes the call down and brings the outcome up. Never rejects. */
export type Handler = (call: Call) => Promise<Outcome>;

/** Options or state as plain data: it survives JSON. */
export type PlainData = Readonly<Record<string, unknown>>;

declare const sees: unique symbol;
declare const adds: unique symbol;

/** A policy: frozen options and state, held as long as you hold the object. Mounting it in several pipelines shares the state on purpose. */
export interface AnyPolicy {
  /** One word for what it is: `circuit-breaker`. */
  readonly kind: string;
  /** What the user calls it; without one, pipelines number policies of the same kind. */
  readonly name?: string | undefined;
  /** Whether it acts, shadows or stands aside. @defaultValue `'enforce'` */
  readonly mode?: Mode;
  /** Puts the policy around `next`; called once per pipeline, never per call. `inside`: the policies further in, outermost first. */
  mount(next: Handler, scope: Scope, inside?: readonly AnyPolicy[]): Handler;
  /** The live state, as plain data. */
  snapshot(): PlainData;
  /** The resolved options, as plain data. */
  describe(): PlainData;
  /** What a rate limit allows calls with this key, and what is left at `now` (ms): asking takes nothing, and keeps nothing for the key. `name`: what to call it. */
  quotasFor?(key: string | undefined, name: string, now: number): readonly Quota[];
  /** True if the policy asks which call the code that calls it runs in (see `currentCall`). */
  readonly tracks?: boolean;
}

/**
 * A policy and what it does to types: `Sees` is the result its predicates look at (the work must fit it), `Adds` what it may answer with
 * instead of the work's result.
 */
export interface Policy<in Sees = unknown, out Adds = never> extends AnyPolicy {
  readonly [sees]?: (value: Sees) => void;
  readonly [adds]?: () => Adds;
}

/** A policy that only admits and accounts. Pipelines fuse neighbouring gates and reactions into one frame. */
export interface GatePolicy extends Policy {
  /** The gate for one pipeline. */
  gate(scope: Scope): Gate;
}

/** A policy that answers to outcomes. */
export interface ReactionPolicy<in Sees = unknown, out Adds = never> extends Policy<Sees, Adds> {
  /** The reaction for one pipeline. */
  reaction(scope: Scope): Reaction;
}

/** The gate or reaction of a policy made of one. */
export function stageOf(policy: AnyPolicy, scope: Scope): Stage | undefined {
  const { gate, reaction, mode = 'enforce' } = policy as Partial<GatePolicy & ReactionPolicy>;
  if (typeof gate === 'function') {
    const make = (own: Scope): Gate => gate.call(policy, own);
    return { gate: mode === 'enforce' ? make(scope) : new ModedGate(mode, make, scope), scope };
  }
  if (typeof reaction !== 'function') return undefined;
  const make = (own: Scope): Reaction => reaction.call(policy, own);
  return { reaction: mode === 'enforce' ? make(scope) : new ModedReaction(mode, make, scope), scope };
}

/** A policy made of several gates and reactions, outermost first. It may be a gate too, for those who ask for admission without a function to run. */
export interface StagedPolicy extends AnyPolicy {
  stages(scope: Scope): readonly Stage[];
}

/** What a policy puts into a frame, outermost first; nothing if it is none that can stand in one. */
export function stagesOf(policy: AnyPolicy, scope: Scope): readonly Stage[] {
  const { stages, mode = 'enforce' } = policy as Partial<StagedPolicy>;
  if (typeof stages === 'function' && mode === 'enforce') return stages.call(policy, scope);
  const stage = stageOf(policy, scope);
  return stage === undefined ? [] : [stage];
}

/** A policy of neither form, around `next`. */
export function mountDriver(policy: AnyPolicy, next: Handler, scope: Scope, inside: readonly AnyPolicy[]): Handler {
  const { mode = 'enforce' } = policy;
  const make = (own: Scope): Handler => policy.mount(next, own, inside);
  return mode === 'enforce' ? make(scope) : modedHandler(mode, make, next, scope);
}

/** What a policy made of a gate or a reaction answers to `mount`: itself, alone in a frame. */
export function mountAlone(policy: AnyPolicy, next: Handler, scope: Scope): Handler {
  return new Frame([stageOf(policy, scope) as Stage], next).handle;
}
