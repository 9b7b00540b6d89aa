/** What all clients share: a request as a call through a pipeline, and the fields that are added to an attempt at it. */

import type { Call } from '../core/call.ts';
import type { CallOptions } from '../core/call-options.ts';
import type { LayerDescription } from '../core/compose.ts';
import { OptionsError } from '../core/errors.ts';
import { show } from '../core/options.ts';
import { type Pipeline, pipeline } from '../core/pipeline.ts';
import type { AnyPolicy } from '../core/policy.ts';
import { writeDeadline } from '../fields/deadline.ts';
import { IDEMPOTENCY_KEY_FIELD } from '../fields/idempotency-key.ts';
import { writePriority } from '../fields/priority.ts';
import { http } from '../presets/http.ts';
import type { RequestBody } from './request-body.ts';
import type { OutboundRequest, OutboundSettings, RequestOptions } from './outbound-options.ts';

/** What guards a client: policies, outermost first, or a pipeline of your own. */
export type Guarding = readonly AnyPolicy[] | Pipeline;

/** Methods that do no harm when they are sent twice (RFC 9110 9.2.2). */
const idempotentMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** The field with one key for all attempts at a request, written as retries write theirs. */
const KEY_AS_SENT = 'Idempotency-Key';

/** Fields to add, by name; the values are fit for a field as they are. */
export type AddedFields = Readonly<Record<string, string>>;

const nothingAdded: AddedFields = Object.freeze({});

/** A client's pipeline, and what its options say about requests. */
export class Outbound {
  readonly pipeline: Pipeline;
  readonly settings: OutboundSettings;
  /** Whether there is a policy that may send a request more than once. */
  readonly repeats: boolean;
  readonly #isTold: (origin: string) => boolean;
  /** Bodies are read before there is a call, as part of it: policies must know by then whether it can be repeated. */
  #reading: Pipeline | undefined = undefined;

  /** `owner` is how the client is called where nobody names it. @throws OptionsError if the policies are none */
  constructor(owner: string, policies: Guarding | undefined, settings: OutboundSettings) {
    this.pipeline = isPipeline(policies) ? policies : pipeline(policies ?? http(), { name: settings.name ?? owner });
    this.settings = settings;
    this.repeats = this.pipeline.describe().layers.some(repeats);
    const { propagate } = settings;
    const origins = Array.isArray(propagate) ? new Set<string>(propagate) : undefined;
    this.#isTold = typeof propagate === 'function' ? propagate : (origin) => origins?.has(origin) ?? propagate === true;
  }

  /** A request as a call. `own` is what the request says about itself; `signal` that of its caller. @throws OptionsError */
  callOptions(request: OutboundRequest, own: RequestOptions | undefined, signal?: AbortSignal | null): CallOptions {
    if (own !== undefined) checkOwn(own);
    const { key: keyOf, deadline: most } = this.settings;
    const key = own?.key ?? (keyOf === undefined ? request.url.origin : keyOf(request));
    const idempotencyKey = own?.idempotencyKey ?? nonEmpty(request.field(IDEMPOTENCY_KEY_FIELD));
    const idempotent = own?.idempotent ?? this.#isIdempotent(request, idempotencyKey);
    const deadline = own?.deadline ?? (most === Infinity ? undefined : most);
    const { priority, priorityLevel, operation, tags } = own ?? {};
    return { signal: signal ?? undefined, deadline, key, priority, priorityLevel, operation, idempotent, idempotencyKey, tags };
  }

  /**
   * Reads a body that comes piece by piece, if it may have to be sent again, within the time and until the abort of the call it belongs to. Answers with that call: as far as it can be
   * repeated, with the time that is left.
   */
  async reading(body: RequestBody, asked: CallOptions): Promise<CallOptions> {
    if (asked.idempotent !== true) return { ...asked, idempotent: false };
    this.#reading ??= pipeline([], { name: this.pipeline.name });
    const { signal, deadline, key } = asked;
    const call = await this.#reading.execute(
      async (call) => {
        const idempotent = await body.keep(call.signal);
        return { ...asked, deadline: call.deadline === Infinity ? deadline : call.remaining(), idempotent };
      },
      { signal, deadline, key },
    );
    return call as CallOptions;
  }

  /**
   * The fields to add to one attempt: what policies want sent along, the idempotency key, and for those who are told, the time left, the priority and the number of
   * attempts before. Fields that the request has by itself stay as they are.
   */
  fieldsFor(call: Call, request: OutboundRequest, own?: RequestOptions): AddedFields {
    const { headers } = call;
    const { propagate, idempotencyKey } = this.settings;
    let added: Record<string, string> | undefined;
    const add = (name: string, value: string): void => {
      if ((request.field(name.toLowerCase()) ?? undefined) === undefined)
        (added ??= Object.create(null) as Record<string, string>)[name] = value;
    };
    for (const name in headers) add(name, headers[name] as string);
    if (own?.idempotencyKey !== undefined || (idempotencyKey && !idempotentMethods.has(request.method)))
      add(KEY_AS_SENT, call.idempotencyKey);
    if (propagate !== false && this.#isTold(request.url.origin)) this.#tell(call, add);
    return added ?? nothingAdded;
  }

  #tell(call: Call, add: (name: string, value: string) => void): void {
    const { deadlineField, deadlineMargin, priorityField, attemptField } = this.settings;
    if (call.deadline !== Infinity) {
      const left = Math.max(0, call.remaining() - deadlineMargin);
      for (const name of deadlineField) add(name, writeDeadline(name, left) as string);
    }
    if (priorityField !== false) add(priorityField, writePriority(call.priority, call.priorityLevel));
    if (attemptField !== false && call.attempt > 1) add(attemptField, String(call.attempt - 1));
  }

  #isIdempotent(request: OutboundRequest, key: string | undefined): boolean {
    const { idempotent, idempotencyKey } = this.settings;
    if (typeof idempotent === 'function') return idempotent(request);
    return idempotent ?? (idempotencyKey || key !== undefined || idempotentMethods.has(request.method));
  }
}

const ownNames: Readonly<Record<keyof RequestOptions, true>> = {
  deadline: true,
  key: true,
  priority: true,
  priorityLevel: true,
  operation: true,
  idempotent: true,
  idempotencyKey: true,
  tags: true,
};

/** What the values must be is the kernel's to say; but a key has to fit into a field. @throws OptionsError */
function checkOwn(own: RequestOptions): void {
  if (typeof own !== 'object' || Array.isArray(own))
    throw new OptionsError([{ path: 'breakwater', expected: 'an object', got: show(own) }]);
  for (const name of Object.keys(own)) {
    if (Object.hasOwn(ownNames, name)) continue;
    const expected = `one of ${Object.keys(ownNames).join(', ')}`;
    throw new OptionsError([{ path: `breakwater.${name}`, expected, got: 'an unknown option' }]);
  }
  const { idempotencyKey: key } = own;
  if (key === undefined || (typeof key === 'string' && fieldValue.test(key))) return;
  const expected = `1 to ${LONGEST_KEY} characters of ASCII, without line breaks`;
  throw new OptionsError([{ path: 'breakwater.idempotencyKey', expected, got: show(key) }]);
}

const LONGEST_KEY = 1024;

/** RFC 9110 5.5, without obs-text. */
const fieldValue = new RegExp(`^[\\x20-\\x7e]{1,${LONGEST_KEY}}$`);

function nonEmpty(value: string | null | undefined): string | undefined {
  return value === null || value === '' ? undefined : value;
}

function isPipeline(given: Guarding | undefined): given is Pipeline {
  const { kind, execute } = (given ?? {}) as Partial<Pipeline>;
  return kind === 'pipeline' && typeof execute === 'function';
}

/** Kinds of policies that never run what is inside them more than once. */
const once: ReadonlySet<string> = new Set([
  'adaptive-limiter',
  'adaptive-rate',
  'authority',
  'bulkhead',
  'circuit-breaker',
  'composite',
  'degrade',
  'fallback',
  'fixed-window',
  'hot-key',
  'leaky-bucket',
  'per-key',
  'sliding-log',
  'sliding-window',
  'system-guard',
  'throttle',
  'timeout',
  'token-bucket',
  'warm-up',
]);

/** Whether a layer, or one inside it, may run what is inside it more than once; of kinds that are not known it is assumed. */
function repeats({ kind, layers }: LayerDescription): boolean {
  return kind === 'pipeline' ? (layers ?? []).some(repeats) : !once.has(kind);
}
