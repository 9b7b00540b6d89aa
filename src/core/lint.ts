/**
 * Advice on doubtful orders and values. It knows policies only by kind and described options, so a policy adds its advice here
 * without anybody importing it. Advice never refuses: there are reasons for every order.
 */

import type { LayerDescription } from './compose.ts';
import type { LintLayer } from './lint-layer.ts';
import { type LintRule, lintRules } from './lint-rules.ts';
import type { PlainData } from './policy.ts';

/** One piece of advice. */
export interface Advice {
  /** Stable word for the rule. */
  readonly rule: string;
  /** What is doubtful, why, and what to do. */
  readonly message: string;
  /** Names of the policies concerned, outermost first. */
  readonly policies: readonly string[];
}

/** Looks over layers, outermost first. */
export function lintLayers(layers: readonly LayerDescription[]): readonly Advice[] {
  const flat = flatten(layers);
  return flat.flatMap((_, i) => lintRules.flatMap((rule) => apply(rule, flat, i)));
}

function apply({ rule, outer, inner, when, message }: LintRule, flat: readonly LintLayer[], at: number): Advice[] {
  const first = flat[at] as LintLayer;
  if (!outer.includes(first.kind)) return [];
  const found: Advice[] = [];
  for (let i = inner === undefined ? at : at + 1; i < (inner === undefined ? at + 1 : flat.length); i++) {
    const second = flat[i] as LintLayer;
    if (inner?.includes(second.kind) === false) continue;
    const around = { outside: flat.slice(0, at), between: flat.slice(at + 1, i), within: flat.slice(i + 1) };
    if (when?.(first, second, around) === false) continue;
    const policies = first === second ? [first.name] : [first.name, second.name];
    found.push({ rule, message: typeof message === 'string' ? message : message(first, second), policies });
  }
  return found;
}

/** Nested pipelines become their layers, policies per key what they keep for each; what is off is not there. */
function flatten(layers: readonly LayerDescription[]): LintLayer[] {
  return layers.flatMap((layer) => {
    if (layer.mode === 'off') return [];
    if (layer.layers !== undefined) return flatten(layer.layers);
    const { each } = layer.options as { readonly each?: PlainData };
    const kind = each?.['kind'];
    if (layer.kind !== 'per-key' || typeof kind !== 'string') return [{ ...layer, keyed: false }];
    return [{ ...layer, kind, options: each as PlainData, keyed: true }];
  });
}
