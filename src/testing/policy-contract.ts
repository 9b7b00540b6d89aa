import type { AnyPolicy } from '../core/policy.ts';
import { type ContractOptions, type Law, declareLaws } from './contract.ts';
import { accountLaws } from './laws/accounts.ts';
import { constructionLaws } from './laws/construction.ts';
import { endingLaws } from './laws/endings.ts';
import { resultLaws } from './laws/results.ts';
import { sharingLaws } from './laws/sharing.ts';
import { surroundingLaws } from './laws/surroundings.ts';
import { viewLaws } from './laws/views.ts';

/** What every policy keeps, as data: for runners without `describe` and `it`. Skip those whose `needs` the subject lacks. */
export const policyLaws: readonly Law[] = [
  ...resultLaws,
  ...endingLaws,
  ...accountLaws,
  ...sharingLaws,
  ...viewLaws,
  ...surroundingLaws,
  ...constructionLaws,
];

/**
 * Declares a test for each law that every policy keeps. Works with any runner that has `describe` and `it` (vitest, node:test, jest, mocha); give
 * them among the options unless they are globals. `make` must make a fresh, roomy policy each time; see {@link ContractOptions} for what
 * lets the suite test waits, refusals and options too.
 *
 * @example
 * ```ts
 * import { definePolicy } from 'breakwater';
 * import { policyContract } from 'breakwater/testing';
 *
 * const tests: string[] = [];
 * policyContract(() => definePolicy({ kind: 'open-door', gate: { enter: () => 'pass', settle() {}, cancel() {} } }), {
 *   describe: (_name, group) => group(), // import { describe, it } from your runner
 *   it: (title) => tests.push(title),
 * });
 * console.log(tests.length > 20); // => true
 * ```
 */
export function policyContract(make: () => AnyPolicy, options: ContractOptions = {}): void {
  declareLaws('the laws of a policy', policyLaws, make, options);
}
