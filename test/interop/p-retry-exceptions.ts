/** What p-retry cannot keep of the laws, and why. */

import type { LawException } from 'breakwater/testing';

/** Laws of the contract suite: none. */
export const exceptions: readonly LawException[] = [];
