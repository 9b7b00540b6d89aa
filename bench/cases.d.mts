import type { Case } from './bench.mjs';

export const timedCases: readonly Case[];
export const measuredCases: readonly Case[];
