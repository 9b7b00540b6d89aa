import type { IncomingMessage } from 'node:http';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import type { Pipeline } from '../../core/pipeline.ts';
import type { AnyPolicy } from '../../core/policy.ts';
import type { Entrance } from '../admission/entrance.ts';
import { type Gates, RoutePlans } from '../admission/route-plans.ts';
import type { GuardOptions, Soon } from '../admission/guard-options.ts';
import { letThrough } from '../admission/inbound.ts';
import type { Turned } from '../admission/response.ts';
import { Exchange, type NestRequest } from './exchange.ts';
import { TurnedException } from './turned-exception.ts';

/** What a handler, or all handlers of a class, want of the guard. What they say of their requests holds in place of what the guard says. */
export interface RouteGuardOptions extends GuardOptions<NestRequest> {
  /** Gates of their own, behind those of the guard. @defaultValue none */
  readonly policies?: Gates;
  /** One of the guard's `groups`, whose gates they have together with others. @defaultValue none */
  readonly group?: string;
}

/** Options of {@link BreakwaterGuard}. */
export interface BreakwaterGuardOptions extends GuardOptions<NestRequest> {
  /** Gates that several handlers have together, by names that they give as `group`. @defaultValue none */
  readonly groups?: Readonly<Record<string, Gates>>;
}

/** What {@link Guarded} was told, by handler and class. */
const said = new WeakMap<object, RouteGuardOptions | false>();

/** Gives a handler, or all of a class, gates of their own and other settings; with `false` they are not guarded. A handler goes before its class. */
export function Guarded(options: RouteGuardOptions | false): ClassDecorator & MethodDecorator {
  return (target: object, _property?: string | symbol, descriptor?: PropertyDescriptor) => {
    said.set((descriptor?.value as object | undefined) ?? target, options);
  };
}

/**
 * Admits requests through gates before their handlers run. A request that may not pass, or runs out of time before it is let in, is a {@link TurnedException}.
 *
 * @throws OptionsError if an option is wrong or a policy is no gate
 */
export class BreakwaterGuard implements CanActivate {
  readonly pipeline: Pipeline;
  readonly #plans: RoutePlans<NestRequest, never>;

  constructor(policies: readonly AnyPolicy[] | Pipeline, options: BreakwaterGuardOptions = {}) {
    const { groups = {}, ...given } = options;
    this.#plans = new RoutePlans<NestRequest, never>(policies, groups, given);
    this.pipeline = this.#plans.pipeline;
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    if (context.getType() !== 'http') return true;
    const exchange = new Exchange(context);
    const wanted = said.get(context.getHandler()) ?? said.get(context.getClass());
    if (wanted === false) {
      exchange.incoming.breakwater = letThrough(exchange.outgoing, (exchange.incoming as Partial<IncomingMessage>).breakwater);
      return true;
    }
    const route = `${context.getClass().name}.${context.getHandler().name}`;
    const { entrances } = wanted === undefined ? this.#plans.plain : this.#plans.for(wanted, true, route);
    for (const entrance of entrances) if (!(await enter(entrance, exchange))) return false;
    return true;
  }

  /** Closes the pipelines that were made here, those of handlers among them. */
  async close(): Promise<void> {
    await Promise.all(this.#plans.own.map((each) => each.close({ drain: 0 })));
  }
}

/** Answers with false if nobody is left to answer. */
async function enter(entrance: Entrance<NestRequest>, exchange: Exchange): Promise<boolean> {
  const { request, incoming, outgoing } = exchange;
  const reception = await entrance.receive({
    request,
    caller: incoming,
    response: outgoing,
    outer: (incoming as Partial<IncomingMessage>).breakwater,
    expired: (turned) => void expire(exchange, turned),
  });
  switch (reception.kind) {
    case 'admitted':
      exchange.announce(reception.fields);
      entrance.watcher?.watch?.(request, outgoing);
      incoming.breakwater = reception.visit;
      return true;
    case 'past':
      incoming.breakwater = reception.visit;
      return true;
    case 'refused':
      exchange.announce(reception.turned.headers);
      throw new TurnedException(reception.turned);
    case 'failed':
      throw reception.error;
    case 'gone':
      return false;
  }
}

/** The handler is running, and its time is up. An error of the user's own functions leaves it to the handler to answer: its signal has told it to stop. */
async function expire(exchange: Exchange, turned: Soon<Turned | undefined>): Promise<void> {
  if (!(turned instanceof Promise)) {
    if (turned !== undefined) exchange.answer(turned);
    return;
  }
  const speak = exchange.hold();
  const late = await turned.catch(() => undefined);
  speak();
  if (late !== undefined) exchange.answer(late);
}
