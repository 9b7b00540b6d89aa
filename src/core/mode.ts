import type { Call } from './call.ts';
import { type Field, type Fields, field, show, text } from './options.ts';
import type { Scope } from './scope.ts';

/** How far a policy goes: it acts, it only says what it would do, or it is not there. */
export type ModeName = 'enforce' | 'shadow' | 'off';

/** A mode, the share of calls (0 to 1) that it is enforced for while it shadows the others, or a function that says so for each call. */
export type Mode = ModeName | number | ((call: Call) => ModeName | number);

declare module './events.ts' {
  interface EventFields {
    /** A shadowed gate would have turned the call away. */
    'gate.would-refuse': { readonly error: unknown; readonly retryAfter?: number | undefined };
    /** A shadowed gate would have made the call wait. */
    'gate.would-wait': object;
    /** A shadowed retry or fallback would have done something about this outcome. */
    'reaction.would-act': { readonly error?: unknown };
  }
}

/** Options that every policy takes. */
export interface PolicyOptions {
  /** What events, errors and snapshots call it. @defaultValue the kind */
  readonly name?: string;
  /**
   * `'enforce'`; `'shadow'`: decides and counts like always, tells what it would have done, and neither refuses, delays nor changes anything; `'off'`: as if it were not
   * there. Or the share of calls, 0 to 1, that it is enforced for (the rest is shadowed), or a function of the call. @defaultValue `'enforce'`
   */
  readonly mode?: Mode;
}

/** The same, as read. */
export interface CommonSettings {
  readonly name: string | undefined;
  readonly mode: Mode;
}

const names: ReadonlySet<unknown> = new Set<ModeName>(['enforce', 'shadow', 'off']);

const mode: Field<Mode> = field<Mode>("'enforce', 'shadow', 'off', a share of calls from 0 to 1", (value) =>
  isMode(value) ? value : undefined,
).orFunction<(call: Call) => ModeName | number>('(call) => mode');

/** Their fields, for every policy's table. */
export const commonFields: Fields<CommonSettings> = {
  name: text().optional(),
  mode: mode.or('enforce'),
};

/** What a mode comes to for one call; what a function may not answer is reported, and the policy then enforces. */
export function modeOf(given: Mode, call: Call, scope: Scope): ModeName {
  if (typeof given === 'string') return given;
  if (typeof given === 'number') return scope.random() < given ? 'enforce' : 'shadow';
  return scope.ask<ModeName>('mode', 'enforce', () => {
    const answer: unknown = given(call);
    if (isMode(answer)) return modeOf(answer, call, scope);
    throw new TypeError(
      `mode: expected a function that answers with 'enforce', 'shadow', 'off' or a share from 0 to 1, got ${show(answer)}`,
    );
  });
}

function isMode(value: unknown): value is ModeName | number {
  return names.has(value) || (typeof value === 'number' && value >= 0 && value <= 1);
}
