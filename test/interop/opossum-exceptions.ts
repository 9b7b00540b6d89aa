/** What opossum cannot keep, as data: the contract suite asserts that it is broken, and the page prints it. */

import type { LawException } from 'breakwater/testing';

export const exceptions: readonly LawException[] = [];

export const rows: readonly { readonly Law: string; readonly Why: string }[] = [];
