import { type Fields, readOptions } from '../core/options.ts';
import { type Hedge, type HedgeOptions, hedge } from '../policies/hedge.ts';
import {
  type InnerPartOptions,
  type InnerParts,
  type OuterPartOptions,
  type OuterParts,
  type Part,
  type PartSettings,
  inner,
  innerFields,
  outer,
  outerFields,
  part,
  partField,
} from './parts.ts';

interface HedgePart {
  /** Begins calls that say `idempotent: true` once more when they take longer than most. @defaultValue `{ delay: { quantile: 0.95, fallback: '2s' } }` */
  readonly hedge?: HedgeOptions | false;
}

/** Options of {@link hedgedHttp}: for each part those of its policy, or `false` to leave it out. */
export interface HedgedHttpPresetOptions extends OuterPartOptions, HedgePart, InnerPartOptions {}

/** The policies that {@link hedgedHttp} makes of these options, outermost first. */
export type HedgedHttpPreset<Given = object> = [...OuterParts<Given>, ...Part<Given, 'hedge', Hedge>, ...InnerParts<Given>];

const hedgedHttpFields: Fields<PartSettings<HedgedHttpPresetOptions>> = {
  ...outerFields,
  hedge: partField<HedgeOptions>().or({}),
  ...innerFields,
};

/**
 * Policies for calls to a service whose slow answers matter more than its errors, in the recommended order, as an array to edit: a hedge where `presets.http` has a retry. Give
 * each call the origin it goes to as its `key`, and say whether it is `idempotent`.
 *
 * @throws OptionsError if an option is wrong
 *
 * @example
 * ```ts
 * import { pipeline, presets } from 'breakwater';
 *
 * const lookup = pipeline(presets.hedgedHttp({ hedge: { delay: '50ms' } }));
 * console.log(await lookup.execute(() => 'found', { key: 'https://lookup.example', idempotent: true })); // => 'found'
 * ```
 */
export function hedgedHttp<const Given extends HedgedHttpPresetOptions = object>(options?: Given): HedgedHttpPreset<Given> {
  const given = readOptions('presets.hedgedHttp', hedgedHttpFields, options);
  return [
    ...outer(given),
    ...part(given.hedge, (own) => hedge({ name: 'hedge', delay: { quantile: 0.95, fallback: '2s' }, ...own })),
    ...inner(given),
  ] as unknown as HedgedHttpPreset<Given>;
}
