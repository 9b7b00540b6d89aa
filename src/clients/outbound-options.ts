/** Options that all clients have in common. */

import type { CallOptions } from '../core/call-options.ts';
import { type Duration, type Field, type Fields, duration, field, flag, fn, text } from '../core/options.ts';
import { DEADLINE_FIELD } from '../fields/deadline.ts';
import { PRIORITY_FIELD } from '../fields/priority.ts';

/** The field that says how many attempts were made before this one. */
export const ATTEMPT_FIELD = 'x-request-attempt';

/** A request that is about to be sent, as functions of options see it. */
export interface OutboundRequest {
  /** In capitals. */
  readonly method: string;
  readonly url: URL;
  /** Reads one of its fields, by its lower-case name; nothing that is added for an attempt is there yet. */
  field(name: string): string | null | undefined;
}

/** What one request may say about itself. */
export type RequestOptions = Pick<
  CallOptions,
  'deadline' | 'key' | 'priority' | 'priorityLevel' | 'operation' | 'idempotent' | 'idempotencyKey' | 'tags'
>;

/** Options of every client. */
export interface OutboundOptions {
  /** What events, errors and snapshots call it; a pipeline that is given has a name of its own. @defaultValue the client's: `'fetch'` */
  readonly name?: string;
  /** What a request is about, for policies that keep state per key: circuits, slots. @defaultValue its origin, such as `'https://api.example:8443'` */
  readonly key?: (request: OutboundRequest) => string | undefined;
  /**
   * Whether sending a request twice does no harm, so that a retry may do it.
   *
   * @defaultValue GET, HEAD, OPTIONS, TRACE, PUT and DELETE (RFC 9110 9.2.2), and whatever has an `Idempotency-Key`
   */
  readonly idempotent?: boolean | ((request: OutboundRequest) => boolean);
  /** Time for each request in all, with all its attempts and the body of its answer; one may say otherwise for itself. @defaultValue `Infinity` */
  readonly deadline?: Duration;
  /**
   * Sends a key with requests that are not idempotent by themselves (POST, PATCH), the same with every attempt, which makes them so: for services that know `Idempotency-Key`.
   *
   * @defaultValue `false`
   */
  readonly idempotencyKey?: boolean;
  /**
   * Which services are told the deadline, the priority and the number of the attempt: your own. All of them (`true`), those of these origins, or those that a function chooses. Others
   * have no use for it, and need not know it.
   *
   * @defaultValue `false`
   */
  readonly propagate?: boolean | readonly string[] | ((origin: string) => boolean);
  /** Fields that tell the time left; `grpc-timeout` and `x-envoy-expected-rq-timeout-ms` are written in their own ways. @defaultValue `'x-request-deadline'` */
  readonly deadlineField?: string | readonly string[] | false;
  /** How much less time than is left a service is told: for the way there and back. @defaultValue `10` */
  readonly deadlineMargin?: Duration;
  /** The field that tells the priority, if the request or the call that it is made in has one. @defaultValue `'x-request-priority'` */
  readonly priorityField?: string | false;
  /** The field that tells how many attempts were made before, from the second on. @defaultValue `'x-request-attempt'` */
  readonly attemptField?: string | false;
}

/** The same, as read. */
export interface OutboundSettings {
  readonly name: string | undefined;
  readonly key: ((request: OutboundRequest) => string | undefined) | undefined;
  readonly idempotent: boolean | ((request: OutboundRequest) => boolean) | undefined;
  readonly deadline: number;
  readonly idempotencyKey: boolean;
  readonly propagate: boolean | readonly string[] | ((origin: string) => boolean);
  readonly deadlineField: readonly string[];
  readonly deadlineMargin: number;
  readonly priorityField: string | false;
  readonly attemptField: string | false;
}

/** The table of them; a client adds its own. */
export const outboundFields: Fields<OutboundSettings> = {
  name: text().optional(),
  key: fn<(request: OutboundRequest) => string | undefined>('(request) => string | undefined').optional(),
  idempotent: flag().orFunction<(request: OutboundRequest) => boolean>('a function (request) => boolean').optional(),
  deadline: duration({ min: 1, infinite: true }).or(Infinity),
  idempotencyKey: flag().or(false),
  propagate: field<boolean | readonly string[]>("true, false, an array of origins such as 'https://api.example'", originsIn)
    .orFunction<(origin: string) => boolean>('a function (origin) => boolean')
    .or(false),
  deadlineField: field<readonly string[]>('the name of a field, an array of such names, or false', namesIn).or(DEADLINE_FIELD),
  deadlineMargin: duration().or(10),
  priorityField: nameField().or(PRIORITY_FIELD),
  attemptField: nameField().or(ATTEMPT_FIELD),
};

/** RFC 9110 5.6.2: what names of fields and methods are made of. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

function isName(value: unknown): value is string {
  return typeof value === 'string' && token.test(value);
}

function nameField(): Field<string | false> {
  return field<string | false>('the name of a field, or false', (value) => (value === false || isName(value) ? value : undefined));
}

function namesIn(value: unknown): readonly string[] | undefined {
  if (value === false) return [];
  const names: readonly unknown[] = Array.isArray(value) ? value : [value];
  return names.every(isName) ? Object.freeze([...names]) : undefined;
}

function originsIn(value: unknown): boolean | readonly string[] | undefined {
  if (typeof value === 'boolean') return value;
  return Array.isArray(value) && value.every(isOrigin) ? Object.freeze([...(value as string[])]) : undefined;
}

/** An origin and nothing more, as `URL` writes it: with a path behind it, it would never match. */
function isOrigin(value: unknown): boolean {
  try {
    return typeof value === 'string' && new URL(value).origin === value;
  } catch {
    return false;
  }
}
