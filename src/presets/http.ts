import { type Fields, readOptions } from '../core/options.ts';
import { type Retry, type RetryOptions, retry } from '../policies/retry.ts';
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

interface RetryPart {
  /** Tries calls again that say `idempotent: true`, and those that never reached the service. @defaultValue `{ maxAttempts: 3 }` */
  readonly retry?: RetryOptions | false;
}

/** Options of {@link http}: for each part those of its policy, or `false` to leave it out. */
export interface HttpPresetOptions extends OuterPartOptions, RetryPart, InnerPartOptions {}

/** The policies that {@link http} makes of these options, outermost first. */
export type HttpPreset<Given = object> = [...OuterParts<Given>, ...Part<Given, 'retry', Retry<unknown>>, ...InnerParts<Given>];

const httpFields: Fields<PartSettings<HttpPresetOptions>> = { ...outerFields, retry: partField<RetryOptions>().or({}), ...innerFields };

/**
 * Policies for calls to a service over HTTP, in the recommended order, as an array to edit. Give each call the origin it goes to as its `key`, and say whether it is `idempotent`.
 *
 * @throws OptionsError if an option is wrong
 *
 * @example
 * ```ts
 * import { pipeline, presets } from 'breakwater';
 *
 * const api = pipeline(presets.http({ timeout: { after: '5s' }, attemptTimeout: { after: '1s' } }));
 * const get = (path: string) => api.execute(() => `200 ${path}`, { key: 'https://api.example', idempotent: true });
 * console.log(await get('/users')); // => '200 /users'
 * ```
 */
export function http<const Given extends HttpPresetOptions = object>(options?: Given): HttpPreset<Given> {
  const given = readOptions('presets.http', httpFields, options);
  return [
    ...outer(given),
    ...part(given.retry, (own) => retry({ name: 'retry', idempotent: ({ idempotent }) => idempotent === true, ...own })),
    ...inner(given),
  ] as unknown as HttpPreset<Given>;
}
