/**
 * In front of NestJS handlers, on Express or Fastify: a module and a guard that admit requests through gates, decorators for routes that want something else, and
 * an interceptor that runs handlers within a pipeline.
 *
 * @example
 * ```ts
 * import { bulkhead, perKey, pipeline, retry, tokenBucket } from 'breakwater';
 * import { BreakwaterModule, Guarded, Through } from 'breakwater/nest';
 *
 * const limits = perKey(() => tokenBucket({ rate: 50, per: '1s' }));
 * const guarded = BreakwaterModule.forRoot({ policies: [limits, bulkhead({ maxConcurrent: 200 })], deadline: '2s' });
 *
 * class Items {
 *   list(): string[] {
 *     return ['bolt', 'nut'];
 *   }
 * }
 * // What `@Guarded({ ... })` and `@Through(...)` above a class do:
 * Guarded({ policies: [bulkhead({ maxConcurrent: 20 })], priority: 'sheddable' })(Items);
 * Through(pipeline([retry({ maxAttempts: 2 })]))(Items);
 * console.log(guarded.global); // => true
 * ```
 *
 * @module
 */

import { type DynamicModule, type ExecutionContext, type FactoryProvider, Inject, createParamDecorator } from '@nestjs/common';
import { APP_FILTER, APP_GUARD } from '@nestjs/core';
import type { Visit } from './admission/inbound.ts';
import { BreakwaterGuard, type BreakwaterGuardOptions } from './nest/breakwater-guard.ts';
import { Exchange } from './nest/exchange.ts';
import { TurnedFilter } from './nest/turned-exception.ts';
import type { Gates } from './admission/route-plans.ts';

export { BreakwaterGuard, type BreakwaterGuardOptions, Guarded, type RouteGuardOptions } from './nest/breakwater-guard.ts';
export type { NestRequest } from './nest/exchange.ts';
export { PipelineInterceptor, type PipelineInterceptorOptions, Through } from './nest/pipeline-interceptor.ts';
export { TurnedException, TurnedFilter } from './nest/turned-exception.ts';
export { clientKey, type ClientKeyOptions } from './identity/client-key.ts';
export type { Connected } from './identity/identity.ts';
export { ClientGoneError, ErrorResponse, type Visit } from './admission/inbound.ts';
export type { Answer, Degraded, Turned } from './admission/response.ts';

/** Options of {@link BreakwaterModule}. */
export interface BreakwaterModuleOptions extends BreakwaterGuardOptions {
  /** Gates before every handler; only policies that admit can stand here (and timeouts), or a pipeline of such. @defaultValue none */
  readonly policies?: Gates;
}

/** Options that have to be waited for, or are made of what the application injects. */
export interface BreakwaterModuleAsyncOptions extends Pick<FactoryProvider, 'inject'>, Pick<DynamicModule, 'imports'> {
  readonly useFactory: (...injected: never[]) => BreakwaterModuleOptions | Promise<BreakwaterModuleOptions>;
}

/** Guards all handlers of an application. Made once, in the imports of its root module. */
export class BreakwaterModule {
  readonly #guard: BreakwaterGuard;

  constructor(guard: BreakwaterGuard) {
    this.#guard = guard;
  }

  /** @throws OptionsError if an option is wrong or a policy is no gate */
  static forRoot(options: BreakwaterModuleOptions = {}): DynamicModule {
    return moduleWith({ provide: BreakwaterGuard, useFactory: () => guardOf(options) });
  }

  /** The same, with options that have to be waited for. */
  static forRootAsync({ imports, inject, useFactory }: BreakwaterModuleAsyncOptions): DynamicModule {
    const make = async (...injected: never[]): Promise<BreakwaterGuard> => guardOf(await useFactory(...injected));
    const provider: FactoryProvider = { provide: BreakwaterGuard, useFactory: make as FactoryProvider['useFactory'] };
    return { ...moduleWith(inject === undefined ? provider : { ...provider, inject }), ...(imports === undefined ? {} : { imports }) };
  }

  /** Closes the pipelines that were made for the guard: Nest calls it when the application shuts down. */
  async onApplicationShutdown(): Promise<void> {
    await this.#guard.close();
  }
}

Inject(BreakwaterGuard)(BreakwaterModule, undefined, 0);

/** The visit of a request, as a parameter of its handler: `@CurrentVisit() visit: Visit`. */
export const CurrentVisit: () => ParameterDecorator = createParamDecorator(
  (_: unknown, context: ExecutionContext): Visit => new Exchange(context).incoming.breakwater,
);

function guardOf({ policies = [], ...options }: BreakwaterModuleOptions): BreakwaterGuard {
  return new BreakwaterGuard(policies, options);
}

function moduleWith(provider: FactoryProvider): DynamicModule {
  return {
    module: BreakwaterModule,
    global: true,
    providers: [provider, { provide: APP_GUARD, useExisting: BreakwaterGuard }, { provide: APP_FILTER, useClass: TurnedFilter }],
    exports: [BreakwaterGuard],
  };
}
