/**
 * In front of Fastify routes: a plugin that admits requests through gates, and answers for those that are turned away or take too long.
 *
 * @example
 * ```ts
 * import Fastify from 'fastify';
 * import { bulkhead } from 'breakwater';
 * import breakwater from 'breakwater/fastify';
 *
 * const app = Fastify();
 * await app.register(breakwater, { policies: [bulkhead({ maxConcurrent: 200 })], name: 'api', deadline: '2s' });
 * app.get('/search', { config: { breakwater: { policies: [bulkhead({ maxConcurrent: 20 })], priority: 'sheddable' } } }, (request) => {
 *   return { admitted: request.breakwater.admitted };
 * });
 * app.get('/health', { config: { breakwater: false } }, () => 'well');
 * console.log((await app.inject('/search')).json()); // => { admitted: true }
 * console.log(app.breakwater.pipeline.name, app.breakwater.pipeline.snapshot().active); // => 'api' 0
 * await app.close();
 * ```
 *
 * @module
 */

import type { FastifyInstance, FastifyPluginCallback, FastifyReply, FastifyRequest, preHandlerHookHandler } from 'fastify';
import { OptionsError } from '../core/errors.ts';
import { type Duration, type Fields, duration, field, flag, oneOf, readOptions, show } from '../core/options.ts';
import type { Pipeline } from '../core/pipeline.ts';
import { idempotencyHook } from './fastify/idempotency-hook.ts';
import { type Done, Passage, type RefusalHandler } from './fastify/passage.ts';
import { type Gates, type Plan, type RouteOptions, RoutePlans, isGates } from './admission/route-plans.ts';
import type { GuardOptions } from './admission/guard-options.ts';
import type { IdempotencyOptions } from './idempotency/options.ts';
import { type Visit, letThrough } from './admission/inbound.ts';
import type { Lifecycle } from './lifecycle/lifecycle.ts';

/** What a route can say in `config.breakwater`. */
export type RouteGuardOptions = RouteOptions<FastifyRequest, RefusalHandler<FastifyRequest, FastifyReply>>;

/** Where in a request's life it is decided on. */
export type GuardHook = 'onRequest' | 'preValidation' | 'preHandler';

/** Options of the plugin. */
export interface FastifyGuardOptions extends GuardOptions<FastifyRequest> {
  /** Gates before every route of the scope; only policies that admit can stand here (and timeouts), or a pipeline of such. @defaultValue none */
  readonly policies?: Gates;
  /** Gates that several routes have together, by names that they give as `group`. @defaultValue none */
  readonly groups?: Readonly<Record<string, Gates>>;
  /** When to decide: `preValidation` or `preHandler` if the key is in the body or somebody must say first who the user is. @defaultValue `'onRequest'` */
  readonly hook?: GuardHook;
  /** False to guard only those routes that have `config.breakwater`. @defaultValue `true` */
  readonly global?: boolean;
  /**
   * Answers in place of the guard, for refusals and timeouts alike: with the reply, or with what it returns. Status and fields are set already; what it throws goes to the
   * error handler.
   *
   * @defaultValue the answer itself: 429, 503 or 504 as problem+json
   */
  readonly handler?: RefusalHandler<FastifyRequest, FastifyReply>;
  /** The life of the process, which this server is to be a part of. @defaultValue none */
  readonly lifecycle?: Lifecycle;
  /** How long `app.close()` waits for requests that outlive their connections, such as those of taken-over sockets. @defaultValue `'5s'` */
  readonly drain?: Duration;
}

/** What guards a scope, as `fastify.breakwater`. */
export interface FastifyGuard {
  /** The gates of the guard that was registered last in this scope or around it: for events and snapshots. */
  readonly pipeline: Pipeline;
  /** The gates that routes of this scope stand behind, outermost first, and then those that groups and routes have of their own. */
  readonly pipelines: readonly Pipeline[];
}

declare module 'fastify' {
  interface FastifyInstance {
    /** What guards routes of this scope. */
    breakwater: FastifyGuard;
  }
  interface FastifyRequest {
    /** When to stop and how much time is left; there on every request that a guard has seen. */
    readonly breakwater: Visit;
  }
  interface FastifyContextConfig {
    /** What this route wants of its guard: gates of its own, other settings, or `false` for none at all. */
    breakwater?: boolean | RouteGuardOptions;
  }
}

interface PluginSettings {
  readonly policies: Gates;
  readonly groups: Readonly<Record<string, Gates>>;
  readonly hook: GuardHook;
  readonly global: boolean;
  readonly lifecycle: Lifecycle | undefined;
  readonly drain: number;
}

const pluginFields: Fields<PluginSettings> = {
  policies: field<Gates>('a list of policies, or a pipeline', (value) => (isGates(value) ? value : undefined)).or([]),
  groups: field<Readonly<Record<string, Gates>>>('an object whose values are lists of policies, or pipelines', (value) =>
    typeof value === 'object' && value !== null && Object.values(value).every((each) => isGates(each))
      ? (value as Readonly<Record<string, Gates>>)
      : undefined,
  ).or({}),
  hook: oneOf('onRequest', 'preValidation', 'preHandler').or('onRequest'),
  global: flag().or(true),
  lifecycle: field<Lifecycle>('what lifecycle() answers with', (value) =>
    typeof (value as Partial<Lifecycle> | null)?.attach === 'function' ? (value as Lifecycle) : undefined,
  ).optional(),
  drain: duration({ infinite: true }).or('5s'),
};

/** What Fastify itself reads of the options it is given with a plugin. */
const foreign = ['prefix', 'logLevel', 'logSerializers'];

type Plans = RoutePlans<FastifyRequest, RefusalHandler<FastifyRequest, FastifyReply>>;

/** The guards of one scope, and those around it. */
interface Guarding extends FastifyGuard {
  /** The one that stands next to the routes. */
  readonly last: Plans | undefined;
  all(): readonly Plans[];
  add(plans: Plans): void;
}

function guardingWithin(around: Guarding | undefined): Guarding {
  const inner: Plans[] = [];
  const all = (): readonly Plans[] => [...(around?.all() ?? []), ...inner];
  return {
    all,
    add: (plans) => void inner.push(plans),
    get last() {
      return inner.at(-1) ?? around?.last;
    },
    get pipeline() {
      return (this.last as Plans).pipeline;
    },
    get pipelines() {
      const gates = all().map(({ pipeline }) => pipeline);
      return [...new Set([...gates, ...all().flatMap(({ own }) => own)])];
    },
  };
}

/**
 * Guards all routes of the scope in which it is registered, and of scopes within that: at the root, of the whole application. `await` the registration, so that routes
 * that come after it can be looked at when they are declared.
 *
 * @throws OptionsError if an option is wrong or a policy is no gate; what a route says wrong is thrown where the route is declared
 */
export const breakwater: FastifyPluginCallback<FastifyGuardOptions> = Object.assign(
  (fastify: FastifyInstance, options: FastifyGuardOptions, done: Done): void => {
    let wrong: Error | undefined;
    try {
      guardScope(fastify, options);
    } catch (error) {
      wrong = error as Error;
    }
    done(wrong);
  },
  {
    // The symbols that fastify-plugin would set: hooks and decorators are for the scope around, not for one of its own.
    [Symbol.for('skip-override')]: true,
    [Symbol.for('fastify.display-name')]: 'breakwater',
    [Symbol.for('plugin-meta')]: { name: 'breakwater', fastify: '5.x' },
  },
);

export default breakwater;

function guardScope(fastify: FastifyInstance, options: FastifyGuardOptions): void {
  const { hook, global, lifecycle, drain, policies, groups, routes } = read(options);
  const plans: Plans = new RoutePlans(policies, groups, routes);
  const around = fastify.breakwater as Guarding | undefined;
  if (!Object.hasOwn(fastify, 'breakwater')) fastify.decorate('breakwater', guardingWithin(around));
  (fastify.breakwater as Guarding).add(plans);
  const planFor = (
    scope: FastifyInstance,
    said: unknown,
    route: string,
  ): Plan<FastifyRequest, RefusalHandler<FastifyRequest, FastifyReply>> | undefined => {
    if (said === false || (said === undefined && !global)) return undefined;
    if (said === undefined || said === true) return plans.plain;
    if (typeof said === 'object' && said !== null) return plans.for(said, (scope.breakwater as Guarding).last === plans, route);
    throw new OptionsError([{ path: 'config.breakwater', expected: 'options of a route, true, or false', got: show(said) }]);
  };
  fastify.addHook('onRoute', function ({ config, method, url }) {
    planFor(this, config?.breakwater, `${String(method)} ${url}`);
  });
  // `reply.callNotFound()` sends a request through the hooks of another route.
  const seen = new WeakSet<FastifyRequest>();
  fastify.addHook(hook, (request: FastifyRequest, reply: FastifyReply, done: Done) => {
    if (seen.has(request)) {
      done();
      return;
    }
    if (hook === 'preHandler') seen.add(request);
    const { config, method, url } = request.routeOptions;
    const plan = planFor(request.server, config.breakwater, `${String(method)} ${String(url)}`);
    if (plan === undefined) {
      request.raw.breakwater = letThrough(reply.raw, (request as Partial<FastifyRequest>).breakwater);
      done();
    } else void new Passage(plan, request, reply, done).go();
  });
  if (!fastify.hasRequestDecorator('breakwater'))
    fastify.decorateRequest('breakwater', {
      getter(this: FastifyRequest) {
        return this.raw.breakwater;
      },
    });
  lifecycle?.attach(fastify.server);
  fastify.addHook('onClose', async () => {
    await Promise.all(plans.own.map((each) => each.close({ drain })));
  });
}

/** Reads what the plugin was given; `routes` is what routes can have other values of, which is read with theirs. */
function read(options: FastifyGuardOptions): PluginSettings & { readonly routes: Readonly<Record<string, unknown>> } {
  const given = Object.entries(options).filter(([name]) => !foreign.includes(name));
  const own = given.filter(([name]) => Object.hasOwn(pluginFields, name));
  const routes = Object.fromEntries(given.filter(([name]) => !Object.hasOwn(pluginFields, name)));
  return { ...readOptions('breakwater', pluginFields, Object.fromEntries(own)), routes };
}

/**
 * A hook that carries a route's requests out once, however often their clients send them: `{ preHandler: idempotency() }`. The answer to the first request with an
 * `Idempotency-Key` is kept, and who repeats it gets the same one, with `idempotency-replayed: true`; 409 while the first is on its way, 422 if it is not the same request, 400
 * for a key that is none. Draft: draft-ietf-httpapi-idempotency-key-header-07.
 *
 * @throws OptionsError if an option is wrong
 */
export const idempotency: (options?: IdempotencyOptions<FastifyRequest>) => preHandlerHookHandler = idempotencyHook;

export { clientKey, type ClientKeyOptions } from './identity/client-key.ts';
export type { Gates } from './admission/route-plans.ts';
export type { RefusalHandler } from './fastify/passage.ts';
export type { Connected } from './identity/identity.ts';
export { ClientGoneError, ErrorResponse, type Visit } from './admission/inbound.ts';
export type { Answer, Degraded, Turned } from './admission/response.ts';
export type { Fallback, FieldsDraft, GuardOptions, Soon } from './admission/guard-options.ts';
export type { IdempotencyOptions } from './idempotency/options.ts';
export { type Drained, type Lifecycle, lifecycle, type LifecycleState, type SignalOptions } from './lifecycle/lifecycle.ts';
export type { LifecycleOptions } from './lifecycle/options.ts';
export { type HealthBody, type HealthReport, liveness, type Probe, readiness, type ReadinessOptions } from './health/health.ts';
export { type StaleCopies, staleCopies, type StaleCopiesOptions } from './recording/stale-copies.ts';
