import type { Call } from './call.ts';
import { OptionsError } from './errors.ts';
import { Frame } from './frame.ts';
import { type PolicyOptions, commonFields } from './mode.ts';
import { Failure, type Outcome, thrown } from './outcome.ts';
import { readOptions, show } from './options.ts';
import { type AnyPolicy, type GatePolicy, type Handler, type PlainData, type Policy, mountAlone } from './policy.ts';
import { follow } from './run.ts';
import type { Scope } from './scope.ts';
import type { Gate } from './stage.ts';

interface Definition extends PolicyOptions {
  /** One word for what it is. */
  readonly kind: string;
  /** Live state, for `snapshot()`. @defaultValue nothing */
  readonly snapshot?: () => PlainData;
  /** Resolved options, for `describe()`. @defaultValue nothing */
  readonly describe?: () => PlainData;
}

/** A policy of your own that only admits and accounts. */
export interface GateDefinition<Pass> extends Definition {
  /** The gate, or a function that makes one for each pipeline. */
  readonly gate: Gate<Pass> | ((scope: Scope) => Gate<Pass>);
}

/** A policy of your own that decides how often, how long or with what the inside runs. */
export interface DriverDefinition extends Definition {
  /**
   * Called once per pipeline, and with a `mode` once more for the calls that are only shadowed: there `scope.shadow` is true. The handler may be called any number of
   * times, gets its own call each time and should not reject. `inside`: the policies further in.
   */
  readonly mount: (next: Handler, scope: Scope, inside: readonly AnyPolicy[]) => Handler;
}

/**
 * Makes a policy of your own. The kernel keeps the laws for it: what it throws or forgets still settles the call, and an abort or a timeout
 * around it ends it at once.
 *
 * @throws OptionsError if neither or both of `gate` and `mount` are given
 *
 * @example
 * ```ts
 * import { definePolicy, pipeline, refuse } from 'breakwater';
 *
 * const office = { open: true };
 * const officeHours = definePolicy({
 *   kind: 'office-hours',
 *   gate: { enter: () => (office.open ? 'pass' : refuse(new Error('closed'))), settle() {}, cancel() {} },
 * });
 * console.log(await pipeline([officeHours]).execute(() => 'welcome')); // => 'welcome'
 * ```
 */
export function definePolicy<Pass>(definition: GateDefinition<Pass>): GatePolicy;
export function definePolicy<Sees = unknown, Adds = never>(definition: DriverDefinition): Policy<Sees, Adds>;
export function definePolicy(definition: Partial<GateDefinition<unknown> & DriverDefinition>): Policy {
  const { kind, gate, mount, snapshot = nothing, describe = nothing } = definition;
  if (typeof kind !== 'string' || kind === '')
    throw new OptionsError([{ path: 'definePolicy.kind', expected: 'a word for what the policy is', got: show(kind) }]);
  const common = readOptions(kind, commonFields, { name: definition.name, mode: definition.mode });
  const base = { kind, ...common, snapshot, describe };
  if (gate !== undefined && mount === undefined) {
    const policy: GatePolicy = {
      ...base,
      gate: typeof gate === 'function' ? gate : () => gate,
      mount: (next, scope) => mountAlone(policy, next, scope),
    };
    return policy;
  }
  if (typeof mount !== 'function' || gate !== undefined) {
    throw new OptionsError([{ path: `${kind}.gate`, expected: 'either gate or mount', got: gate === undefined ? 'neither' : 'both' }]);
  }
  return { ...base, mount: (next, scope, inside = []) => guardHandler(mount, next, scope, inside) };
}

/** A step in the familiar shape: `next()` resolves to the result of what lies inside or rejects with its error. */
export type Middleware = (call: Call, next: () => Promise<unknown>) => unknown;

/**
 * Makes a policy from a function in the shape of Koa's and Hono's middleware. `Adds` is what it may answer with instead of the work's result.
 *
 * @example
 * ```ts
 * import { fromMiddleware, pipeline } from 'breakwater';
 *
 * const shout = fromMiddleware(async (_call, next) => String(await next()).toUpperCase());
 * console.log(await pipeline([shout]).execute(() => 'hello')); // => 'HELLO'
 * ```
 */
export function fromMiddleware<Adds = never>(middleware: Middleware, { name }: { readonly name?: string } = {}): Policy<unknown, Adds> {
  if (typeof middleware !== 'function')
    throw new OptionsError([{ path: 'fromMiddleware', expected: 'a function (call, next) => result', got: show(middleware) }]);
  return definePolicy<unknown, Adds>({
    kind: 'middleware',
    ...(name !== undefined && { name }),
    mount: (next) => (call) => passThrough(middleware, call, next),
  });
}

/** User code between two layers: each `next` gets a call of its own with the present time, and the whole can be cut short. */
function guardHandler(mount: DriverDefinition['mount'], next: Handler, scope: Scope, inside: readonly AnyPolicy[]): Handler {
  const handler = mount(
    (call) => {
      const inner = call.derive();
      inner.at = scope.clock.now();
      return next(inner).finally(() => call.release(inner));
    },
    scope,
    inside,
  );
  const frame = new Frame([], (call) => follow(call, handler));
  return (call) => {
    const own = call.derive();
    return frame.handle(own).finally(() => call.release(own));
  };
}

/** Outcomes become results and errors on their way to the middleware, and what it passes on becomes the same outcome again. */
async function passThrough(middleware: Middleware, call: Call, next: Handler): Promise<Outcome> {
  let failure: Failure | undefined;
  const inward = async (): Promise<unknown> => {
    const outcome = await next(call);
    if (!(outcome instanceof Failure)) return outcome;
    failure = outcome;
    throw outcome.error;
  };
  try {
    return await middleware(call, inward);
  } catch (error) {
    return failure !== undefined && failure.error === error ? failure : thrown(error);
  }
}

function nothing(): PlainData {
  return {};
}
