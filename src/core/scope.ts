import type { Call } from './call.ts';
import type { Classifier } from './classification.ts';
import type { Clock, Random } from './clock.ts';
import type { Level, PipelineEvent, Sink } from './events.ts';

/**
 * What one pipeline gives its policies: a name, time, chance, and the outlet for events. Each policy gets its own view of it, which
 * stamps the policy's name on what it emits.
 */
export class Scope {
  /** Name of the pipeline. */
  readonly pipeline: string;
  /** Name of the policy this view belongs to. */
  readonly policy: string | undefined;
  readonly clock: Clock;
  readonly random: Random;
  /** Whether refusals carry a stack trace. */
  readonly stack: boolean;
  /** Where events go. */
  readonly sink: Sink;
  /** What outcomes mean in this pipeline, where a policy does not say so itself. */
  readonly classifier: Classifier<never> | undefined;
  /** True where a policy only shows what it would do (see `mode`). */
  readonly shadow: boolean;
  #reference: WeakRef<Scope> | undefined = undefined;

  constructor(
    pipeline: string,
    clock: Clock,
    random: Random,
    stack: boolean,
    sink: Sink,
    classifier?: Classifier<never>,
    policy?: string,
    shadow = false,
  ) {
    this.pipeline = pipeline;
    this.clock = clock;
    this.random = random;
    this.stack = stack;
    this.sink = sink;
    this.classifier = classifier;
    this.policy = policy;
    this.shadow = shadow;
  }

  /** The same scope as a policy of this name sees it. */
  for(policy: string): Scope {
    const { pipeline, clock, random, stack, sink, classifier, shadow } = this;
    return new Scope(pipeline, clock, random, stack, sink, classifier, policy, shadow);
  }

  /** The same scope for a policy that only shows what it would do. */
  inShadow(): Scope {
    const { pipeline, clock, random, stack, sink, classifier, policy } = this;
    return new Scope(pipeline, clock, random, stack, sink, classifier, policy, true);
  }

  /** The scope, held weakly; one and the same object for all who do. */
  get reference(): WeakRef<Scope> {
    return (this.#reference ??= new WeakRef<Scope>(this));
  }

  /** Whether anybody listens. Ask before building what `emit` takes: events cost nothing when nobody does. */
  get listening(): boolean {
    return this.sink.listening;
  }

  /** Sends an event out. `call` lends it its key and operation. */
  emit(type: string, level: Level, call: Call | undefined, fields: object): void {
    this.sink.emit(this.event(type, level, call, fields));
  }

  /** The event as it would be sent. */
  event(type: string, level: Level, call: Call | undefined, fields: object): PipelineEvent {
    const { pipeline, policy, shadow } = this;
    const event = { type, level, at: this.clock.now(), pipeline, policy, key: call?.key, operation: call?.operation, ...fields };
    return shadow ? { ...event, shadow } : event;
  }

  /** What a user's callback answers; if it throws, that is reported and `instead` stands. */
  ask<Answer>(callback: string, instead: Answer, ask: () => Answer): Answer {
    try {
      return ask();
    } catch (error) {
      this.report(callback, error);
      return instead;
    }
  }

  /** Reports a user's callback that threw; the call goes on as if it had not been there. */
  report(callback: string, error: unknown): void {
    const { pipeline, policy } = this;
    const event = { type: 'pipeline.callback-failed', level: 'error' as const, at: this.clock.now(), pipeline, policy, callback, error };
    this.sink.report(event, error);
  }
}
