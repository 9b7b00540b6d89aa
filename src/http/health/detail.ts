import type { Pipeline } from '../../core/pipeline.ts';
import type { PlainData } from '../../core/policy.ts';

/** One thing that was looked at. `warn`: worth a look, and no reason to send nobody here. */
export interface HealthDetail {
  readonly status: 'pass' | 'warn' | 'fail';
  /** What it is, if it is a policy: `circuit-breaker`. */
  readonly componentType?: string;
  /** How it stands, if it is a policy. */
  readonly observedValue?: string | number;
}

/** More are not shown, and longer names neither: the body is small, whatever it is asked of. */
const MOST = 100;
const LONGEST_NAME = 128;

/** What is shown of a kind of policy: never keys, and nothing that an error or a user's function said. */
const shown: Readonly<Record<string, (data: PlainData) => HealthDetail>> = {
  'circuit-breaker': circuit,
  opossum: circuit,
  'system-guard': ({ level }) => ({ status: level === 'calm' ? 'pass' : 'warn', observedValue: word(level) }),
  bulkhead: slots,
  bottleneck: slots,
  'adaptive-limiter': ({ inflight, limit }) => ({
    status: Number(inflight) < Number(limit) ? 'pass' : 'warn',
    observedValue: `${Number(inflight)} of ${Number(limit)}`,
  }),
  'per-key': ({ size, max }) => ({ status: 'pass', observedValue: `${Number(size)} of ${Number(max)}` }),
};

/** What a probe shows: the checks, then the policies that have a state worth showing, as `pipeline/policy`. */
export function detailsOf(
  checks: readonly { readonly name: string; readonly passed: boolean }[],
  pipelines: readonly Pick<Pipeline, 'snapshot'>[],
): Readonly<Record<string, readonly [HealthDetail]>> {
  const found = new Map<string, readonly [HealthDetail]>();
  const add = (name: string, detail: HealthDetail): void => {
    if (found.size < MOST) found.set(name.slice(0, LONGEST_NAME), [detail]);
  };
  for (const { name, passed } of checks) add(name, { status: passed ? 'pass' : 'fail' });
  for (const pipeline of pipelines) {
    try {
      walk(pipeline.snapshot(), '', add);
    } catch {
      // What a user's own policy threw when asked for its state is nothing to fail a probe for.
    }
  }
  return Object.fromEntries(found);
}

function walk({ name, policies }: PlainData, path: string, add: (name: string, detail: HealthDetail) => void): void {
  const here = `${path}${String(name)}/`;
  for (const policy of policies as readonly PlainData[]) {
    const kind = String(policy['kind']);
    if (Array.isArray(policy['policies'])) walk(policy, here, add);
    else if (Object.hasOwn(shown, kind))
      add(`${here}${String(policy['name'])}`, { componentType: kind, ...shown[kind]?.(policy) } as HealthDetail);
  }
}

/** States in which a circuit refuses calls. */
const refusing: ReadonlySet<unknown> = new Set(['open', 'half-open', 'isolated', 'shutdown']);

function circuit({ state }: PlainData): HealthDetail {
  return { status: refusing.has(state) ? 'warn' : 'pass', observedValue: word(state) };
}

function slots({ active, maxConcurrent }: PlainData): HealthDetail {
  return {
    status: Number(active) < Number(maxConcurrent) ? 'pass' : 'warn',
    observedValue: `${Number(active)} of ${Number(maxConcurrent)}`,
  };
}

function word(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, LONGEST_NAME) : '';
}
