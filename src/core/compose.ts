import { OptionsError } from './errors.ts';
import { show } from './options.ts';
import { Frame } from './frame.ts';
import { type Place, placesFor } from './place.ts';
import { type AnyPolicy, type GatePolicy, type Handler, type PlainData, mountDriver, stageOf, stagesOf } from './policy.ts';
import { run, runTracked } from './run.ts';
import type { Scope } from './scope.ts';
import type { Stage } from './stage.ts';

/** A policy in its place, with the name it goes by there. */
export interface Layer {
  readonly policy: AnyPolicy;
  readonly name: string;
}

/** A policy made of layers of its own: a pipeline inside a pipeline. */
export interface Nested extends AnyPolicy {
  readonly layers: readonly Layer[];
  /** The scope its layers live in when it is mounted in `outer`. */
  inner(outer: Scope): Scope;
  /** Refuses calls once the nested pipeline is closed, and counts those inside it. */
  life(): GatePolicy;
}

/** A layer with the scope it lives in. */
interface Placed {
  readonly policy: AnyPolicy;
  readonly scope: Scope;
}

/** Names layers: the user's name, or the kind, numbered from the second on. Names the user gave twice are refused. */
export function nameLayers(pipeline: string, policies: readonly AnyPolicy[]): readonly Layer[] {
  checkPolicies(pipeline, policies);
  const taken = new Set<string>();
  for (const { name } of policies) {
    if (name === undefined) continue;
    if (taken.has(name))
      throw new OptionsError([
        { path: `${pipeline}.policies`, expected: 'a different name for each policy', got: JSON.stringify(name) + ' twice' },
      ]);
    taken.add(name);
  }
  return policies.map((policy) => {
    if (policy.name !== undefined) return { policy, name: policy.name };
    let name = policy.kind;
    for (let n = 2; taken.has(name); n++) name = `${policy.kind}-${n}`;
    taken.add(name);
    return { policy, name };
  });
}

/** What a pipeline is built of. */
export function checkPolicies(name: string, policies: unknown): void {
  const expected = 'an array of policies, outermost first';
  if (!Array.isArray(policies)) {
    const { kind } = (policies ?? {}) as { kind?: unknown };
    const got = typeof kind === 'string' ? `a ${kind} by itself: write pipeline([…])` : show(policies);
    throw new OptionsError([{ path: `${name}.policies`, expected, got }]);
  }
  policies.forEach((policy: unknown, i) => {
    const { kind, mount } = (policy ?? {}) as { kind?: unknown; mount?: unknown };
    if (typeof kind !== 'string' || typeof mount !== 'function')
      throw new OptionsError([{ path: `${name}.policies[${i}]`, expected: 'a policy', got: told(policy) }]);
  });
}

/** What was given in place of a policy, and what would make one of it. */
function told(given: unknown): string {
  if (Array.isArray(given)) return 'an array: spread it (...policies)';
  if (typeof given === 'function') return `${show(given)}: call it, what it makes is the policy`;
  const { fire, schedule, key } = Object(given) as Readonly<Record<string, unknown>>;
  if (typeof fire === 'function') return 'a breaker: opossumBreaker() of breakwater/opossum makes a policy of it';
  const limits = typeof schedule === 'function' || typeof key === 'function';
  return limits ? 'a limiter: bottleneckLimiter() of breakwater/bottleneck makes a policy of it' : show(given);
}

/** Builds a pipeline around the work: runs of gates and reactions in one frame each, drivers around what is inside them. */
export function compose(layers: readonly Layer[], scope: Scope, tracked: boolean): Frame {
  const placed = place(layers, scope);
  return wrap(placed, tracked || placed.some(({ policy }) => policy.tracks === true) ? runTracked : run);
}

/** Builds a nested pipeline around what lies inside it. */
export function composeAround(layers: readonly Layer[], scope: Scope, next: Handler): Handler {
  return wrap(place(layers, scope), next).handle;
}

/** The gates of a pipeline that has nothing else, or the name of the first layer that is no gate. */
export function gatesOf(layers: readonly Layer[], scope: Scope): readonly Place[] | string {
  const stages: Stage[] = [];
  for (const { policy, scope: own } of place(layers, scope)) {
    const stage = stageOf(policy, own);
    if (stage?.gate === undefined) return own.policy ?? policy.kind;
    stages.push(stage);
  }
  return placesFor(stages);
}

function wrap(placed: readonly Placed[], innermost: Handler): Frame {
  let stages: Stage[] = [];
  let next = innermost;
  for (const [i, { policy, scope }] of [...placed.entries()].reverse()) {
    const own = stagesOf(policy, scope);
    if (own.length > 0) {
      stages.unshift(...own);
    } else {
      const inside = placed.slice(i + 1).map((layer) => layer.policy);
      next = mountDriver(policy, new Frame(stages, next).handle, scope, inside);
      stages = [];
    }
  }
  return new Frame(stages, next);
}

function place(layers: readonly Layer[], scope: Scope): Placed[] {
  return layers.flatMap(({ policy, name }) => {
    if (!isNested(policy)) return [{ policy, scope: scope.for(name) }];
    const inner = policy.inner(scope);
    return [{ policy: policy.life(), scope: inner }, ...place(policy.layers, inner)];
  });
}

/** Whether it is a pipeline. */
export function isNested(policy: AnyPolicy): policy is Nested {
  return typeof (policy as Partial<Nested>).inner === 'function';
}

/** A layer as plain data. */
export interface LayerDescription {
  readonly kind: string;
  readonly name: string;
  readonly options: PlainData;
  /** Whether it only shows what it would do, stands aside or says so for each call (`'computed'`); nothing if it enforces. */
  readonly mode?: string | number;
  /** The layers of a nested pipeline. */
  readonly layers?: readonly LayerDescription[];
}

/** Layers as plain data, outermost first. */
export function describeLayers(layers: readonly Layer[]): readonly LayerDescription[] {
  return layers.map(({ policy, name }) => ({
    kind: policy.kind,
    name,
    options: isNested(policy) ? {} : plain(policy.describe()),
    ...(policy.mode !== undefined && policy.mode !== 'enforce' && { mode: typeof policy.mode === 'function' ? 'computed' : policy.mode }),
    ...(isNested(policy) && { layers: describeLayers(policy.layers) }),
  }));
}

/** The live state of layers, outermost first. */
export function snapshotLayers(layers: readonly Layer[]): readonly PlainData[] {
  return layers.map(({ policy, name }) => plain({ kind: policy.kind, name, ...policy.snapshot() }));
}

/** Data that survives JSON: what is undefined is left out, and numbers that JSON has no form for become words. */
function plain(data: PlainData): PlainData {
  const entries = Object.entries(data).filter(([, value]) => value !== undefined && typeof value !== 'function');
  return Object.fromEntries(entries.map(([name, value]) => [name, plainValue(value)]));
}

function plainValue(value: unknown): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (Array.isArray(value)) return value.map(plainValue);
  return typeof value === 'object' && value !== null ? plain(value as PlainData) : value;
}
