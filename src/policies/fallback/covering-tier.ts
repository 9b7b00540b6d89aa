import type { Call } from '../../core/call.ts';
import { Failure, type FailureKind, type Outcome, type Settled, settled } from '../../core/outcome.ts';
import type { PlainData } from '../../core/policy.ts';
import type { Scope } from '../../core/scope.ts';
import { Tier, type TierSettings } from '../../stores/tier.ts';

/** What to cover: calls that were turned away, calls that ran and failed (timeouts included), or only timeouts. */
export type Covered = 'refusal' | 'failure' | 'timeout';

/** The same, or a function that chooses. */
export type When = Covered | ((outcome: Settled<never>, call: Call) => boolean);

/** A lesser answer and what it is for. */
export interface CoverSettings extends TierSettings {
  readonly when: When | undefined;
}

/** A tier that knows what it covers. */
export class CoveringTier extends Tier {
  readonly #when: When | undefined;

  constructor(name: string, settings: CoverSettings) {
    super(name, settings);
    this.#when = settings.when;
  }

  /** Whether it has something to do about this outcome. An abort by the caller is nobody's to cover. */
  covers(outcome: Outcome, call: Call, scope: Scope): boolean {
    const covered = this.#when;
    if (!(outcome instanceof Failure))
      return typeof covered === 'function' && !call.degraded && this.#chooses(covered, outcome, call, scope);
    if (outcome.kind === 'aborted' || (this.runs && call.failure !== undefined)) return false;
    if (covered === undefined) return true;
    return typeof covered === 'string' ? isCovered(outcome.kind, covered) : this.#chooses(covered, outcome, call, scope);
  }

  /** Its settings, as plain data. */
  describe(): PlainData {
    const { timeout, maxConcurrent } = this.settings;
    const covered = this.#when ?? 'failures and refusals';
    const whenText = typeof covered === 'function' ? 'chosen' : covered;
    return { name: this.name, answer: this.runs ? 'computed' : 'value', when: whenText, ...(this.runs && { timeout, maxConcurrent }) };
  }

  #chooses(choose: Exclude<When, string>, outcome: Outcome, call: Call, scope: Scope): boolean {
    return scope.ask('when', false, () => choose(settled(outcome) as Settled<never>, call));
  }
}

function isCovered(kind: FailureKind, covered: Covered): boolean {
  if (covered === 'failure') return kind === 'thrown' || kind === 'timeout';
  return kind === (covered === 'refusal' ? 'refused' : 'timeout');
}
