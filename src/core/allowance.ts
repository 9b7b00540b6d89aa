import { type Layer, isNested } from './compose.ts';
import type { AnyPolicy } from './policy.ts';
import { type Quota, noQuotas } from './quota.ts';

/** The layers that allow so much per time, those of nested pipelines included. */
export function limitedLayers(layers: readonly Layer[]): readonly Layer[] {
  return layers.flatMap((layer) => {
    const { policy } = layer;
    if (isNested(policy)) return limitedLayers(policy.layers);
    return typeof policy.quotasFor === 'function' && enforces(policy) ? [layer] : [];
  });
}

/** What a policy allows calls with this key, as of `now`; nothing if it is no limit, or does not act. */
export function quotasOf(policy: AnyPolicy, key: string | undefined, name: string, now: number): readonly Quota[] {
  return policy.quotasFor === undefined || !enforces(policy) ? noQuotas : policy.quotasFor(key, name, now);
}

/** The same for several layers, outermost first, each under a name of its own. */
export function quotasAmong(layers: readonly Layer[], key: string | undefined, now: number): readonly Quota[] {
  const quotas: Quota[] = [];
  for (const { policy, name } of layers) for (const quota of quotasOf(policy, key, name, now)) quotas.push(renamed(quota, quotas));
  return quotas;
}

/** Whether it turns calls away at all. */
function enforces({ mode = 'enforce' }: AnyPolicy): boolean {
  return mode !== 'off' && mode !== 'shadow' && mode !== 0;
}

function renamed(quota: Quota, others: readonly Quota[]): Quota {
  if (others.length === 0 || !others.some(({ policy }) => policy === quota.policy)) return quota;
  let n = 2;
  while (others.some(({ policy }) => policy === `${quota.policy}-${n}`)) n++;
  return { ...quota, policy: `${quota.policy}-${n}` };
}
