/** What every guard can be told, whatever framework it stands in. */

import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';
import {
  type Duration,
  type Field,
  type Fields,
  duration,
  field,
  flag,
  fn,
  numeric,
  oneOf,
  readOptions,
  text,
} from '../../core/options.ts';
import type { Priority } from '../../core/priority.ts';
import { type IdentityOptions, type IdentitySettings, identityFields } from '../identity/identity.ts';
import type { Degraded, Turned } from './response.ts';
import type { Warnings } from '../warnings/warnings.ts';

/** An answer, now or later. */
export type Soon<T> = T | Promise<T>;

/** Which shape the `RateLimit` fields have. */
export type FieldsDraft = 'draft-6' | 'draft-7' | 'draft-8';

/**
 * Options that guards of all frameworks share.
 *
 * @typeParam Req - the request as the framework shows it
 */
export interface GuardOptions<Req> extends IdentityOptions {
  /** What events, errors and snapshots call it; a pipeline that is given has a name of its own. @defaultValue `'guard'` */
  readonly name?: string;
  /**
   * What the request is about (tenant, user, address), for policies that keep state per key. What it throws goes to the error handler and the
   * request is not served.
   *
   * @defaultValue the client's address, or its network where that is IPv6
   */
  readonly key?: (req: Req) => Soon<string | undefined>;
  /** The same as `key`, by the name that it has in other limiters. @defaultValue none */
  readonly keyGenerator?: (req: Req) => Soon<string | undefined>;
  /** What the request takes of rate limits that set no `cost` of their own. @defaultValue `1` */
  readonly cost?: number | ((req: Req) => number);
  /** Time for the request in all, waiting included. Then the signal aborts, and unless the response has begun the answer is a 504. @defaultValue `Infinity` */
  readonly deadline?: Duration | ((req: Req) => Duration);
  /**
   * Fields in which a peer that `trustProxy` names may say how much time is left to it; they only shorten the deadline.
   *
   * @defaultValue `['x-request-deadline', 'grpc-timeout', 'x-envoy-expected-rq-timeout-ms']`
   */
  readonly deadlineHeaders?: readonly string[];
  /** How much the request matters when not all can be served. @defaultValue `'critical'` */
  readonly priority?: Priority | ((req: Req) => Priority);
  /** A field in which a peer that `trustProxy` names may say so instead: `sheddable`, or with a level `sheddable;42`. @defaultValue `'x-request-priority'` */
  readonly priorityHeader?: string | false;
  /** Requests to let through past all gates, such as health checks. @defaultValue none */
  readonly skip?: (req: Req) => Soon<boolean>;
  /** Clients that go past all gates: addresses and networks, or a function that knows. @defaultValue none */
  readonly allowList?: readonly string[] | ((req: Req) => Soon<boolean>);
  /** Clients that are not let in and get a 403: addresses and networks, or a function that knows. @defaultValue none */
  readonly denyList?: readonly string[] | ((req: Req) => Soon<boolean>);
  /**
   * A lesser answer in place of a refusal or a timeout: one that is always the same, a function that makes one (nothing: the refusal stands), or copies of earlier answers.
   *
   * @defaultValue none
   */
  readonly fallback?: Degraded | Fallback<Req> | ((req: Req, turned: Turned) => Soon<Degraded | undefined>);
  /** Status of refusals by a rate limit. @defaultValue `429` */
  readonly statusCode?: number;
  /** Body of refusals by a rate limit: a text, an object to be sent as JSON, or a function that makes one. @defaultValue problem+json */
  readonly message?: string | object | ((req: Req, turned: Turned) => Soon<string | object>);
  /** Whether, and in which shape, answers have `RateLimit` and `RateLimit-Policy` fields; `true` is the shape of the current draft. @defaultValue `true` */
  readonly standardHeaders?: boolean | FieldsDraft;
  /** Whether answers have `X-RateLimit-Limit`, `X-RateLimit-Remaining` and `X-RateLimit-Reset`, for the limit that has least left. @defaultValue `false` */
  readonly legacyHeaders?: boolean;
  /** What the fields call a limit, where there is only one. @defaultValue the name of its policy */
  readonly identifier?: string;
  /** By how much at most a `Retry-After` of a minute or more is lengthened by chance, 0 to 1, so that not all come back at once. @defaultValue `0.1` */
  readonly retryAfterJitter?: number;
  /** Who hears [warnings](warnings.md): nobody, or a function. @defaultValue the process, which prints them */
  readonly warnings?: Warnings;
}

/** What remembers answers, to give one when a request cannot be served. */
export interface Fallback<Req> {
  /** A lesser answer, if there is one. */
  answer(req: Req, turned: Turned): Soon<Degraded | undefined>;
  /** The request is served: what is sent on this response may be of use later. `before`: fields that were set on it, where the framework has them elsewhere. */
  watch?(req: Req, response: ServerResponse, before?: OutgoingHttpHeaders): void;
  /** The same where responses are values: answers with the one to go on with. */
  watchWeb?(req: Req, response: Response, before?: Headers): Response;
}

/** The same options, as read. */
export interface GuardSettings<Req> extends IdentitySettings {
  readonly name: string | undefined;
  readonly key: ((req: Req) => Soon<string | undefined>) | undefined;
  readonly keyGenerator: ((req: Req) => Soon<string | undefined>) | undefined;
  readonly cost: number | ((req: Req) => number);
  readonly deadline: number | ((req: Req) => Duration);
  readonly deadlineHeaders: readonly string[];
  readonly priority: Priority | ((req: Req) => Priority);
  readonly priorityHeader: string | false;
  readonly skip: ((req: Req) => Soon<boolean>) | undefined;
  readonly allowList: readonly string[] | ((req: Req) => Soon<boolean>);
  readonly denyList: readonly string[] | ((req: Req) => Soon<boolean>);
  readonly fallback: Degraded | Fallback<Req> | ((req: Req, turned: Turned) => Soon<Degraded | undefined>) | undefined;
  readonly statusCode: number;
  readonly message: string | object | ((req: Req, turned: Turned) => Soon<string | object>) | undefined;
  readonly standardHeaders: boolean | FieldsDraft;
  readonly legacyHeaders: boolean;
  readonly identifier: string | undefined;
  readonly retryAfterJitter: number;
  readonly warnings: Warnings;
}

type Of<Name extends keyof GuardSettings<never>> = GuardSettings<never>[Name];

const fieldName = (value: unknown): string | undefined =>
  typeof value === 'string' && /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/.test(value) ? value.toLowerCase() : undefined;

const list = (): Field<readonly string[]> =>
  field<readonly string[]>("a list of addresses and networks such as '10.0.0.0/8'", (value) =>
    Array.isArray(value) && value.every((entry) => typeof entry === 'string') ? value : undefined,
  );

/** The option table. */
export const guardFields: Fields<GuardSettings<never>> = {
  ...identityFields,
  name: text().optional(),
  key: fn<NonNullable<Of<'key'>>>('(req) => string | undefined').optional(),
  keyGenerator: fn<NonNullable<Of<'key'>>>('(req) => string | undefined').optional(),
  cost: numeric({ min: 0 }).orFunction<(req: never) => number>('(req) => number').or(1),
  deadline: duration({ min: 0.001, infinite: true }).orFunction<(req: never) => Duration>('(req) => duration').or(Infinity),
  deadlineHeaders: field<readonly string[]>('a list of names of fields', (value) => {
    const names: unknown[] = Array.isArray(value) ? value.map(fieldName) : [undefined];
    return names.includes(undefined) ? undefined : (names as string[]);
  }).or(['x-request-deadline', 'grpc-timeout', 'x-envoy-expected-rq-timeout-ms']),
  priority: oneOf('critical-plus', 'critical', 'sheddable-plus', 'sheddable', 'best-effort')
    .orFunction<(req: never) => Priority>('(req) => priority')
    .or('critical'),
  priorityHeader: field<string | false>('the name of a field, or false', (value) => (value === false ? value : fieldName(value))).or(
    'x-request-priority',
  ),
  skip: fn<NonNullable<Of<'skip'>>>('(req) => boolean').optional(),
  allowList: list().orFunction<(req: never) => Soon<boolean>>('(req) => boolean').or([]),
  denyList: list().orFunction<(req: never) => Soon<boolean>>('(req) => boolean').or([]),
  fallback: field<NonNullable<Of<'fallback'>>>('an answer { status, headers, body }, (req, turned) => answer, or copies', (value) =>
    typeof value === 'function' || (typeof value === 'object' && value !== null) ? value : undefined,
  ).optional(),
  statusCode: field('a status from 400 to 599', (value) =>
    Number.isInteger(value) && (value as number) >= 400 && (value as number) < 600 ? (value as number) : undefined,
  ).or(429),
  message: field<NonNullable<Of<'message'>>>('a text, an object, or (req, turned) => text or object', (value) =>
    typeof value === 'string' || typeof value === 'function' || (typeof value === 'object' && value !== null) ? value : undefined,
  ).optional(),
  standardHeaders: field<boolean | FieldsDraft>("true, false, 'draft-6', 'draft-7', 'draft-8'", (value) =>
    typeof value === 'boolean' || value === 'draft-6' || value === 'draft-7' || value === 'draft-8' ? value : undefined,
  ).or(true),
  legacyHeaders: flag().or(false),
  identifier: text().optional(),
  retryAfterJitter: numeric({ min: 0, max: 1 }).or(0.1),
  warnings: field<NonNullable<Warnings> | false>('false, or (warning) => void', (value) =>
    value === false || typeof value === 'function' ? (value as NonNullable<Warnings> | false) : undefined,
  ).optional(),
};

/** Reads options of a guard that has those of its framework, too. @throws OptionsError */
export function readGuardOptions<Settings extends GuardSettings<never>>(owner: string, fields: Fields<Settings>, given: unknown): Settings {
  return readOptions<Settings>(owner, fields, given, ({ key, keyGenerator }) =>
    key !== undefined && keyGenerator !== undefined
      ? { path: 'keyGenerator', expected: 'nothing: it is another name for key', got: 'both' }
      : undefined,
  );
}
