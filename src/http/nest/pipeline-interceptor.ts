import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { type CallHandler, type ExecutionContext, type NestInterceptor, UseInterceptors } from '@nestjs/common';
import { type Observable, from, lastValueFrom } from 'rxjs';
import { ResilienceError } from '../../core/errors.ts';
import type { CallOptions } from '../../core/call-options.ts';
import type { Pipeline } from '../../core/pipeline.ts';
import type { Visit } from '../admission/inbound.ts';
import { answerTo } from '../admission/response.ts';
import { Exchange, type NestRequest } from './exchange.ts';
import { TurnedException } from './turned-exception.ts';

/** Options of a {@link PipelineInterceptor}. */
export interface PipelineInterceptorOptions extends Pick<CallOptions, 'deadline' | 'idempotent' | 'operation' | 'priority'> {
  /** What the request is about. @defaultValue none */
  readonly key?: (request: NestRequest) => string | undefined;
}

/**
 * Runs handlers within a pipeline, whatever its policies: a handler behind an interceptor can be run again, given up, and answered for. What goes wrong with
 * it is judged by the pipeline; a refusal or timeout that is left in the end becomes a {@link TurnedException}.
 */
export class PipelineInterceptor implements NestInterceptor {
  readonly #pipeline: Pick<Pipeline, 'execute' | 'name'>;
  readonly #options: PipelineInterceptorOptions;

  constructor(pipeline: Pick<Pipeline, 'execute' | 'name'>, options: PipelineInterceptorOptions = {}) {
    this.#pipeline = pipeline;
    this.#options = options;
  }

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    // Requests alone have what is looked at here.
    return context.getType() === 'http' ? from(this.#run(context, next)) : next.handle();
  }

  async #run(context: ExecutionContext, next: CallHandler): Promise<unknown> {
    const { key, ...options } = this.#options;
    const { request, incoming } = new Exchange(context);
    const { breakwater } = incoming as Partial<IncomingMessage>;
    try {
      const work = (): Promise<unknown> => lastValueFrom(next.handle(), { defaultValue: undefined });
      return await this.#pipeline.execute(work, { ...options, key: key?.(request), signal: breakwater?.signal });
    } catch (error) {
      // A refusal of another pipeline, which the handler asked, is the handler's own affair.
      const own = error instanceof ResilienceError && error.pipeline === this.#pipeline.name;
      if (own && breakwater !== undefined) await aborted(breakwater);
      const answer = own ? answerTo(error) : undefined;
      if (answer === undefined) throw error;
      const turned = { ...answer, error };
      new Exchange(context).announce(answer.headers);
      throw new TurnedException(turned);
    }
  }
}

/** Where the time of the whole request is up, the guard aborts its signal: both clocks ring now, and which of them is first is chance. */
async function aborted(visit: Visit): Promise<void> {
  if (visit.remaining() === 0 && !visit.signal.aborted) await once(visit.signal, 'abort');
}

/** Runs the handler, or all handlers of the class, within a pipeline: `@Through(pipeline([retry(), timeout({ after: '1s' })]))`. */
export function Through(
  pipeline: Pick<Pipeline, 'execute' | 'name'>,
  options?: PipelineInterceptorOptions,
): ClassDecorator & MethodDecorator {
  return UseInterceptors(new PipelineInterceptor(pipeline, options));
}
