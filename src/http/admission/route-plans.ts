/** What requests must pass before each route of an application: the gates of a guard, as the route wants them, and gates of its own. */

import { OptionsError } from '../../core/errors.ts';
import { type Fields, field, fn, text } from '../../core/options.ts';
import { type Pipeline, pipeline } from '../../core/pipeline.ts';
import type { AnyPolicy } from '../../core/policy.ts';
import { Entrance } from './entrance.ts';
import { type GuardOptions, type GuardSettings, guardFields, readGuardOptions } from './guard-options.ts';

/** Gates: a list of policies, or a pipeline that was made elsewhere. */
export type Gates = readonly AnyPolicy[] | Pipeline;

/** What requests must pass before a route. */
export interface Plan<Req, Handler> {
  /** One after the other. */
  readonly entrances: readonly Entrance<Req>[];
  readonly handler: Handler | undefined;
}

/** What a route can say of its guard. What it says of its requests holds for it in place of what the guard says. */
export interface RouteOptions<Req, Handler> extends GuardOptions<Req> {
  /** Gates of this route, behind those of the guard; GET and the HEAD that Fastify makes of it have them together. @defaultValue none */
  readonly policies?: Gates;
  /** One of the guard's `groups`, whose gates this route has together with others. @defaultValue none */
  readonly group?: string;
  /** Answers in place of the guard. @defaultValue the guard's own */
  readonly handler?: Handler;
}

/** The same, as read. */
export interface RouteSettings<Req, Handler> extends GuardSettings<Req> {
  readonly policies: Gates | undefined;
  readonly group: string | undefined;
  readonly handler: Handler | undefined;
}

/** Whether this can be taken for gates; whether each of them is one is seen when they are put together. */
export function isGates(value: unknown): value is Gates {
  return Array.isArray(value) || typeof (value as Partial<Pipeline> | null)?.acquire === 'function';
}

/** The option table of routes. */
export const routeFields: Fields<RouteSettings<never, never>> = {
  ...guardFields,
  policies: field<Gates>('a list of policies, or a pipeline', (value) => (isGates(value) ? value : undefined)).optional(),
  group: text().optional(),
  handler: fn<never>('(turned, request, reply) => answer').optional(),
};

type Given = Readonly<Record<string, unknown>>;

/** What a route says of its requests every guard hears that they come to; the rest is between the route and the last one. */
const ofRequests: readonly string[] = ['cost', 'deadline', 'priority', 'skip'];

/** What is asked of a request: where several gates ask in turn, the user's functions are called once. */
const asked = ['key', 'keyGenerator', 'cost', 'deadline', 'priority', 'skip', 'allowList', 'denyList'] as const;

/** The plans of all routes behind one guard. */
export class RoutePlans<Req extends object, Handler> {
  readonly pipeline: Pipeline;
  /** Pipelines that were made here, those of routes among them; others are their makers' to close. */
  readonly own: Pipeline[] = [];
  /** For routes that say nothing. */
  readonly plain: Plan<Req, Handler>;
  readonly #given: Given;
  readonly #groups: ReadonlyMap<string, Pipeline>;
  /** By what routes say: GET and its HEAD say it with one and the same object. */
  readonly #inner = new WeakMap<object, Plan<Req, Handler>>();
  readonly #outer = new WeakMap<object, Plan<Req, Handler>>();

  /** `given` are the options of the guard that a route can have, too. */
  constructor(policies: Gates, groups: Readonly<Record<string, Gates>>, given: Given) {
    const settings = this.#read(given);
    const { pipeline: own } = new Entrance<Req>(policies, settings);
    const others = without(given, ['name']);
    this.#given = others;
    this.pipeline = own;
    if (!('acquire' in policies)) this.own.push(own);
    this.#groups = new Map(Object.entries(groups).map(([name, each]) => [name, this.#pipeline(each, `${own.name} ${name}`)]));
    this.plain = this.#plan([own], this.#read(others));
    // Groups that no route names yet are checked all the same.
    for (const gates of this.#groups.values()) this.#plan([gates], this.#read(others));
  }

  /** The plan for a route that says `said`; `last` if no other guard stands between it and this one. */
  for(said: object, last: boolean, route: string): Plan<Req, Handler> {
    const plans = last ? this.#inner : this.#outer;
    let plan = plans.get(said);
    if (plan === undefined) plans.set(said, (plan = last ? this.#innerPlan(said, route) : this.#outerPlan(said)));
    return plan;
  }

  #innerPlan(said: object, route: string): Plan<Req, Handler> {
    const { name, policies, group, ...settings } = this.#read(over(this.#given, said));
    const gates = [this.pipeline];
    if (group !== undefined) gates.push(this.#group(group));
    if (policies !== undefined) gates.push(this.#pipeline(policies, name ?? `${this.pipeline.name} ${route}`));
    return this.#plan(gates, { ...settings, name: undefined });
  }

  #outerPlan(said: object): Plan<Req, Handler> {
    const heard = Object.fromEntries(Object.entries(said).filter(([name]) => ofRequests.includes(name)));
    return this.#plan([this.pipeline], this.#read(over(this.#given, heard)));
  }

  #plan(gates: readonly Pipeline[], settings: Omit<RouteSettings<Req, Handler>, 'policies' | 'group'>): Plan<Req, Handler> {
    const told = gates.length === 1 ? settings : askedOnce(settings);
    return { entrances: gates.map((each) => new Entrance<Req>(each, told)), handler: settings.handler };
  }

  #group(name: string): Pipeline {
    const found = this.#groups.get(name);
    if (found !== undefined) return found;
    const expected = `one of the guard's groups (${[...this.#groups.keys()].join(', ') || 'it has none'})`;
    throw new OptionsError([{ path: 'config.breakwater.group', expected, got: name }]);
  }

  #pipeline(gates: Gates, name: string): Pipeline {
    if ('acquire' in gates) return gates;
    const made = pipeline(gates, { name });
    this.own.push(made);
    return made;
  }

  #read(given: Given): RouteSettings<Req, Handler> {
    return readGuardOptions('breakwater', routeFields, given) as unknown as RouteSettings<Req, Handler>;
  }
}

/** What the guard says, and over it what the route says. A key by the one name goes over a key by the other. */
function over(given: Given, said: object): Given {
  const keyed = 'key' in said || 'keyGenerator' in said;
  return { ...(keyed ? without(given, ['key', 'keyGenerator']) : given), ...said };
}

function without(given: Given, names: readonly string[]): Given {
  return Object.fromEntries(Object.entries(given).filter(([name]) => !names.includes(name)));
}

function askedOnce<Settings extends Omit<GuardSettings<never>, never>>(settings: Settings): Settings {
  const once = asked.map((name) => [name, remembered(settings[name])] as const);
  return { ...settings, ...Object.fromEntries(once) };
}

/** The same function, asked once about each request; anything else as it is. */
function remembered(given: unknown): unknown {
  if (typeof given !== 'function') return given;
  const answers = new WeakMap<object, { readonly said: unknown }>();
  return (request: object): unknown => {
    let answer = answers.get(request);
    if (answer === undefined) answers.set(request, (answer = { said: (given as (request: object) => unknown)(request) }));
    return answer.said;
  };
}
