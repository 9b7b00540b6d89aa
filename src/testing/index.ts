/** Tools for testing pipelines, your own policies, and code that uses them. */

export { VirtualClock, type VirtualClockOptions } from './virtual-clock.ts';
export { seededRandom } from './random.ts';
export { work, type ScriptedWork, type WorkResult, type WorkRun, type WorkStep } from './work.ts';
export { arrange, type ArrangeOptions, type Arranged } from './arrange.ts';
export type { ContractOptions, DeclareGroup, DeclareTest, Law, LawClock, LawException, Subject } from './contract.ts';
export { policyContract, policyLaws } from './policy-contract.ts';
export { gateContract } from './gate-contract.ts';
export { gateLaws } from './laws/gates.ts';
