/**
 * What probes ask: whether the process lives, and whether it is to get requests.
 *
 * @module
 */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Duration, type Fields, duration, field, flag, readOptions } from '../../core/options.ts';
import type { Pipeline } from '../../core/pipeline.ts';
import { type Check, HealthCheck } from './check.ts';
import { type HealthDetail, detailsOf } from './detail.ts';
import type { LifecycleState } from '../lifecycle/lifecycle.ts';

/** What a probe is answered with: JSON in the manner of `application/health+json`. */
export interface HealthBody {
  readonly status: 'pass' | 'fail';
  /** Where the process stands; only with `details`. */
  readonly state?: LifecycleState;
  /** The checks, and the policies of the pipelines as `pipeline/policy`; only with `details`. */
  readonly checks?: Readonly<Record<string, readonly [HealthDetail]>>;
}

/** A probe's answer, for any framework to send. */
export interface HealthReport {
  readonly status: 200 | 503;
  readonly headers: Readonly<Record<'content-type' | 'cache-control', string>>;
  readonly body: HealthBody;
}

/** Answers probes: a request handler for Node, Express and Connect, and for others the report to send. */
export interface Probe {
  (req: IncomingMessage, res: ServerResponse): void;
  /** Never rejects. */
  report(): Promise<HealthReport>;
}

/** Options of {@link readiness}. */
export interface ReadinessOptions {
  /** Not ready before it is and from when it drains. @defaultValue none */
  readonly lifecycle?: { readonly state: LifecycleState };
  /**
   * What this instance cannot work without and others may have, by name: whether it has warmed up, a lock, a disk of its own. A name and a function that
   * answers `false`, throws or rejects if it is not so.
   *
   * @defaultValue none
   */
  readonly checks?: Readonly<Record<string, Check>>;
  /** How long a check may take; then it has failed, and its signal aborts. @defaultValue `'1s'` */
  readonly timeout?: Duration;
  /** How long an answer of a check is kept, so that probes do not become load. @defaultValue `'1s'` */
  readonly interval?: Duration;
  /** Whether the body names checks, and policies of `pipelines` with their states, and not the outcome alone. Not for the public. @defaultValue `false` */
  readonly details?: boolean;
  /** Pipelines whose states are shown with `details`. They never decide. @defaultValue none */
  readonly pipelines?: readonly Pick<Pipeline, 'snapshot'>[];
}

interface ReadinessSettings {
  readonly lifecycle: { readonly state: LifecycleState } | undefined;
  readonly checks: Readonly<Record<string, Check>>;
  readonly timeout: number;
  readonly interval: number;
  readonly details: boolean;
  readonly pipelines: readonly Pick<Pipeline, 'snapshot'>[];
}

/** The option table. */
export const readinessFields: Fields<ReadinessSettings> = {
  lifecycle: field<{ readonly state: LifecycleState }>('what lifecycle() answered with', (value) =>
    typeof (value as { readonly state?: unknown } | null)?.state === 'string' ? (value as { readonly state: LifecycleState }) : undefined,
  ).optional(),
  checks: field<Readonly<Record<string, Check>>>('an object of functions: { name: (signal) => boolean | Promise<boolean> }', (value) =>
    typeof value === 'object' && value !== null && Object.values(value).every((check) => typeof check === 'function')
      ? (value as Record<string, Check>)
      : undefined,
  ).or({}),
  timeout: duration({ min: 1 }).or('1s'),
  interval: duration().or('1s'),
  details: flag().or(false),
  pipelines: field<readonly Pick<Pipeline, 'snapshot'>[]>('a list of pipelines', (value) =>
    Array.isArray(value) && value.every((each: Partial<Pipeline> | null) => typeof each?.snapshot === 'function') ? value : undefined,
  ).or([]),
};

/**
 * Answers whether this instance is to get requests: 200 if the process is not on its way out and every check passes, else 503.
 *
 * The state of a circuit breaker is shown and never decides. An open circuit says that a dependency is down, for all instances alike: if each of them
 * left for that, the load balancer would have nobody to send to, and what needs the dependency not at all would be down too.
 *
 * @throws OptionsError if an option is wrong
 *
 * @example
 * ```ts
 * import { lifecycle, readiness } from 'breakwater/node';
 *
 * const life = lifecycle({ delay: 0 });
 * const ready = readiness({ lifecycle: life, checks: { templates: () => true } });
 * console.log((await ready.report()).status); // => 200
 * await life.drain();
 * console.log((await ready.report()).body); // => { status: 'fail' }
 * ```
 */
export function readiness(options: ReadinessOptions = {}): Probe {
  const { lifecycle, checks, timeout, interval, details, pipelines } = readOptions('readiness', readinessFields, options);
  const all = Object.entries(checks).map(([name, check]) => ({ name, check: new HealthCheck(check, timeout, interval) }));
  return probe(async () => {
    const state = lifecycle?.state ?? 'ready';
    const asked = state === 'ready' ? await Promise.all(all.map(async ({ name, check }) => ({ name, passed: await check.passes() }))) : [];
    // It may have begun to drain while it was asked.
    const ready = (lifecycle?.state ?? 'ready') === 'ready' && asked.every(({ passed }) => passed);
    const status = ready ? 'pass' : 'fail';
    return details ? { status, state, checks: detailsOf(asked, pipelines) } : { status };
  });
}

/**
 * Answers whether the process is to be left alive: 200, as long as its event loop comes round to it. It asks for nothing else. What a restart would not
 * mend, such as a dependency that is down, must not cause one.
 *
 * @example
 * ```ts
 * import { liveness } from 'breakwater/node';
 *
 * console.log((await liveness().report()).body); // => { status: 'pass' }
 * ```
 */
export function liveness(): Probe {
  return probe(() => Promise.resolve({ status: 'pass' }));
}

function probe(ask: () => Promise<HealthBody>): Probe {
  const report = async (): Promise<HealthReport> => {
    const body = await ask();
    return {
      status: body.status === 'pass' ? 200 : 503,
      headers: { 'content-type': 'application/health+json', 'cache-control': 'no-store' },
      body,
    };
  };
  const handle = (_: IncomingMessage, res: ServerResponse): void => {
    void report().then(({ status, headers, body }) => {
      if (res.headersSent || res.destroyed) return;
      const text = JSON.stringify(body);
      res.statusCode = status;
      for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
      res.setHeader('content-length', Buffer.byteLength(text));
      // Node leaves the body away for HEAD.
      res.end(text);
    });
  };
  return Object.assign(handle, { report });
}
