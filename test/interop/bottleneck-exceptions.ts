import type { LawException } from 'breakwater/testing';

/** Laws of the contract suite that bottleneck cannot keep. */
export const exceptions: readonly LawException[] = [
  { law: 'a clock that goes back', because: 'the work begins some turns of the event loop after the call came, and never at once' },
];

/** What bottleneck cannot keep, for the docs; each is asserted by the test of that title. */
export const rows: readonly { readonly Law: string; readonly Why: string }[] = [];
