import type { GatePolicy } from '../core/policy.ts';
import { type ContractOptions, declareLaws } from './contract.ts';
import { gateLaws } from './laws/gates.ts';

/**
 * Declares a test for each law that every gate keeps besides those of a policy: passes, cancelling, admission without a function. Options as
 * for `policyContract`.
 *
 * @example
 * ```ts
 * import { definePolicy } from 'breakwater';
 * import { gateContract } from 'breakwater/testing';
 *
 * const tests: string[] = [];
 * gateContract(() => definePolicy({ kind: 'open-door', gate: { enter: () => 'pass', settle() {}, cancel() {} } }), {
 *   describe: (_name, group) => group(), // import { describe, it } from your runner
 *   it: (title) => tests.push(title),
 * });
 * console.log(tests.length > 3); // => true
 * ```
 */
export function gateContract(make: () => GatePolicy, options: ContractOptions = {}): void {
  declareLaws('the laws of a gate', gateLaws, make, options);
}
