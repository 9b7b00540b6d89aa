/**
 * The way in, whatever framework stands before it: asks a request what must be known of it, takes it through the gates, and has the answer ready
 * if it may not come in. An adapter shows it requests, and sends what it is told to.
 */

import { OptionsError, OriginDeniedError } from '../../core/errors.ts';
import { made } from '../../core/made.ts';
import { show } from '../../core/options.ts';
import { type Pipeline, pipeline } from '../../core/pipeline.ts';
import type { AnyPolicy } from '../../core/policy.ts';
import { Answering } from './answering.ts';
import { type Asked, Asking } from './asking.ts';
import type { Fallback, GuardSettings, Soon } from './guard-options.ts';
import type { Connected } from '../identity/identity.ts';
import { type Responding, type Visit, arrive, letThrough } from './inbound.ts';
import type { Turned } from './response.ts';
import { errorOf } from './thrown.ts';
import { WarningSigns } from '../warnings/signs.ts';

/** A request as an adapter shows it. */
export interface Visitor<Req> {
  /** As the framework has it: what the user's functions get. */
  readonly request: Req;
  /** The same object in every guard that the request passes: Node's own request, where there is one. */
  readonly caller: Connected;
  readonly response: Responding;
  /** The same request behind an outer guard. */
  readonly outer: Visit | undefined;
  /**
   * Called, at most once, when the time is up after the request was let in and before its response is over. `turned` is what to send if nothing was sent yet,
   * `undefined` if `error` is the application's own; only where functions of the user's take their time is it a promise.
   */
  readonly expired: (turned: Soon<Turned | undefined>, error: unknown) => void;
}

/**
 * What has become of a request.
 *
 * - `admitted`: serve it, with these fields on its response. `past`: serve it; it went by without passing the gates.
 * - `refused`: send `turned`. `failed`: a function of the user's or a gate threw; that is the application's to handle.
 * - `gone`: its client left, and there is nobody to tell.
 */
export type Reception =
  | { readonly kind: 'admitted'; readonly visit: Visit; readonly fields: Readonly<Record<string, string>> }
  | { readonly kind: 'past'; readonly visit: Visit }
  | { readonly kind: 'refused'; readonly turned: Turned }
  | { readonly kind: 'failed'; readonly error: Error }
  | { readonly kind: 'gone' };

const noFields = Object.freeze({});

/**
 * The gates of one guard and what it does with requests.
 *
 * @typeParam Req - the request as the framework shows it
 */
export class Entrance<Req> {
  readonly pipeline: Pipeline;
  /** Who wants to see what is answered to requests that are served. */
  readonly watcher: Fallback<Req> | undefined;
  readonly #asking: Asking<Req>;
  readonly #answering: Answering<Req>;
  readonly #signs: WarningSigns;

  /** @throws OptionsError if a policy is no gate, a list has something that is no address, or a pipeline that has a name is given another */
  constructor(policies: readonly AnyPolicy[] | Pipeline, settings: GuardSettings<Req>) {
    this.pipeline = gatesOf(policies, settings.name);
    const { fallback } = settings;
    this.watcher = typeof fallback === 'object' && 'answer' in fallback ? fallback : undefined;
    this.#asking = new Asking(settings);
    this.#answering = new Answering(this.pipeline, settings);
    const { warnings, trustProxy, key = settings.keyGenerator } = settings;
    const watched = 'acquire' in policies ? [policies] : policies;
    this.#signs = new WarningSigns({ name: this.pipeline.name, policies: watched, warnings, trustProxy, ownKey: key !== undefined });
  }

  /** Decides on a request. Never rejects. */
  async receive(visitor: Visitor<Req>): Promise<Reception> {
    const { request, response, outer, caller } = visitor;
    const signs = this.#signs;
    if (signs.watching) signs.meet();
    try {
      const asked = await this.#asking.ask(request, caller);
      if (asked.way === 'past') return { kind: 'past', visit: letThrough(response, outer) };
      if (asked.way === 'denied') return await this.#refused(request, asked, this.#denial());
      if (signs.watching) signs.look(caller, caller, asked.key);
      const { key, cost, priority, priorityLevel, deadline } = asked;
      const expired = (error: unknown): void => this.#expire(visitor, asked, error);
      const arrival = await arrive(this.pipeline, response, { key, cost, priority, priorityLevel, deadline, outer, expired });
      if (arrival.kind === 'refused') return await this.#refused(request, asked, arrival.error);
      if (arrival.kind === 'gone') return arrival;
      return { kind: 'admitted', visit: arrival.visit, fields: this.#fields(asked) };
    } catch (thrown) {
      return { kind: 'failed', error: errorOf(thrown) };
    }
  }

  async #refused(request: Req, asked: Asked, error: unknown): Promise<Reception> {
    const turned = await this.#answering.answer(request, asked, error);
    return turned === undefined ? { kind: 'failed', error: errorOf(error) } : { kind: 'refused', turned };
  }

  #expire({ request, expired }: Visitor<Req>, asked: Asked, error: unknown): void {
    try {
      expired(this.#answering.answer(request, asked, error), error);
    } catch (thrown) {
      expired(undefined, thrown);
    }
  }

  /** What cannot be told of a request that was let in is no reason not to serve it. */
  #fields({ key }: Asked): Readonly<Record<string, string>> {
    try {
      return this.#answering.fields(key);
    } catch {
      return noFields;
    }
  }

  #denial(): OriginDeniedError {
    const { name } = this.pipeline;
    return made(OriginDeniedError, `${name}: the client is on the denyList`, { pipeline: name }, false);
  }
}

/** The pipeline to admit through; one that has more than gates is refused here and not at the first request. */
function gatesOf(policies: readonly AnyPolicy[] | Pipeline, name: string | undefined): Pipeline {
  const given: unknown = policies;
  if (!Array.isArray(given) && typeof (given as Partial<Pipeline> | undefined)?.acquire !== 'function')
    throw new OptionsError([{ path: 'guard.policies', expected: 'a list of policies, guard([...]), or a pipeline', got: show(given) }]);
  const own = 'acquire' in policies;
  if (own && name !== undefined)
    throw new OptionsError([{ path: 'guard.name', expected: `nothing: the pipeline is called ${policies.name}`, got: name }]);
  const gates: Pipeline = own ? policies : pipeline(policies, { name: name ?? 'guard' });
  try {
    gates.tryAcquire({ signal: AbortSignal.abort() });
  } catch (error) {
    if (!(error instanceof OptionsError)) throw error;
    const got = (error.problems[0]?.got ?? '').replace('a pipeline with ', '');
    const expected = 'a pipeline of gates only: a handler cannot be run again, so other policies belong around what it calls';
    throw new OptionsError([{ path: 'guard.policies', expected, got }]);
  }
  return gates;
}
