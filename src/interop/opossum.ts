import type { BreakerOptions } from './opossum/options.ts';

export { opossumFields } from './opossum/fields.ts';
export type { OpossumSettings } from './opossum/fields.ts';
export type { AbortControllerLike, BreakerState, CacheTransport, CoalesceReset } from './opossum/options.ts';

/** Options of opossum, by its names and with its defaults. */
export type OpossumOptions = BreakerOptions;
