/** All cases. */

import { callers } from './cases/callers.mjs';
import { gates } from './cases/gates.mjs';
import { flatness, inFlight } from './cases/held.mjs';
import { keyed, keyedMillion } from './cases/keyed.mjs';
import { native } from './cases/native.mjs';
import { neighbours } from './cases/neighbours.mjs';
import { pending } from './cases/pending.mjs';
import { reactive } from './cases/reactive.mjs';
import { refusals } from './cases/refusals.mjs';
import { servedCases } from './cases/served.mjs';
import { sequential } from './cases/sequential.mjs';

/** Cases that time calls. The first contestant is the one that the others are compared with. */
export const timedCases = [...sequential, ...gates, ...reactive, ...callers, ...refusals];

/** Cases that measure something else. */
export const measuredCases = [pending, inFlight, flatness, keyed, keyedMillion, native, neighbours, ...servedCases];
