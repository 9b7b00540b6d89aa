/** The types of a pipeline, worked out from its policies. */

import type { AnyPolicy, Policy } from './policy.ts';

/** Policies, outermost first. */
export type Policies = readonly AnyPolicy[];

/** What results the work may have: all that the predicates of these policies can look at. */
export type SeesOf<P extends Policies> = [P[number]] extends [Policy<infer Sees, unknown>] ? Sees : never;

/** What these policies may answer with instead of the work's result. */
export type AddsOf<P extends Policies> = P[number] extends infer Each ? (Each extends Policy<never, infer Adds> ? Adds : never) : never;

/** A policy that stands outside one whose answers its predicates cannot look at. */
export interface Misplaced<Sees, Adds> {
  readonly 'wrong order: a policy further in can answer with': Adds;
  readonly 'but the predicates of this one only look at': Sees;
}

/** The list itself where every policy can look at what those inside it may answer with; else the place of the fault. */
export type InOrder<P extends Policies> = P extends readonly [infer Head extends AnyPolicy, ...infer Tail extends Policies]
  ? readonly [[AddsOf<Tail>] extends [SeesOf<[Head]>] ? Head : Misplaced<SeesOf<[Head]>, AddsOf<Tail>>, ...InOrder<Tail>]
  : P;
