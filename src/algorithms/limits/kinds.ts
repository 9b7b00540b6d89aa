import { Aimd, type AimdSettings } from './aimd.ts';
import { Correlated, type CorrelatedSettings } from './correlated.ts';
import { Gradient, type GradientSettings } from './gradient.ts';
import type { Bounds, Limit } from './limit.ts';
import { Vegas, type VegasSettings } from './vegas.ts';

/** The ways to find a limit. */
export type LimitSettings = CorrelatedSettings | GradientSettings | VegasSettings | AimdSettings;

/** A limit found in this way. `maxBaseline`: no round trip without a queue takes longer, ms. */
export function limitOf(settings: LimitSettings, bounds: Bounds, maxBaseline: number): Limit {
  switch (settings.kind) {
    case 'correlated':
      return new Correlated(settings, bounds, maxBaseline);
    case 'gradient':
      return new Gradient(settings, bounds, maxBaseline);
    case 'vegas':
      return new Vegas(settings, bounds, maxBaseline);
    case 'aimd':
      return new Aimd(settings, bounds);
  }
}
