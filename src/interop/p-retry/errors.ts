/** Errors as p-retry sees them, and those by which work tells it that it need not try again. */

import { type Mode, type PolicyOptions, commonFields } from '../../core/mode.ts';
import { readOptions } from '../../core/options.ts';
import { Failure, type Outcome, thrown } from '../../core/outcome.ts';
import { type PlainData, type ReactionPolicy, mountAlone } from '../../core/policy.ts';
import type { Reaction } from '../../core/stage.ts';

/** An AbortError of p-retry, whichever copy and version of it. */
export interface AbortErrorLike extends Error {
  readonly originalError: Error;
}

/** Whether it is one: the copy that the work throws need not be the one that the policy runs on. */
export function isAbortError(error: unknown): error is AbortErrorLike {
  try {
    return error instanceof Error && error.name === 'AbortError' && (error as Partial<AbortErrorLike>).originalError instanceof Error;
  } catch {
    // An error that throws when it is looked at.
    return false;
  }
}

/** How runtimes say, in a TypeError, that the network failed. */
const networkMessages: ReadonlySet<string> = new Set([
  'fetch failed',
  'terminated',
  'network error',
  'Failed to fetch',
  'Load failed',
  'NetworkError when attempting to fetch resource.',
  'Network request failed',
  'Network connection lost',
]);

/** Whether p-retry tries again after it, if nobody says otherwise: after Errors, and of the TypeErrors those of the network. */
export function isWorthIt(error: unknown): boolean {
  try {
    return error instanceof Error && (!(error instanceof TypeError) || networkMessages.has(error.message));
  } catch {
    return false;
  }
}

/** Takes the error out of an AbortError of p-retry's, as that does. */
export interface UnwrappedAborts extends ReactionPolicy {
  readonly kind: 'unwrapped-aborts';
}

const reaction: Reaction = {
  handles: (outcome) => outcome instanceof Failure && isAbortError(outcome.error),
  react: (outcome: Outcome) => thrown(((outcome as Failure).error as AbortErrorLike).originalError),
};

/** Around a native retry: callers get what they got from p-retry. */
export function unwrappedAborts(options: PolicyOptions): UnwrappedAborts {
  return new Unwrapping(readOptions('unwrappedAborts', commonFields, options));
}

class Unwrapping implements UnwrappedAborts {
  readonly kind = 'unwrapped-aborts';
  readonly name: string | undefined;
  readonly mode: Mode;

  constructor({ name, mode }: { readonly name: string | undefined; readonly mode: Mode }) {
    this.name = name;
    this.mode = mode;
  }

  reaction(): Reaction {
    return reaction;
  }

  mount: UnwrappedAborts['mount'] = (next, scope) => mountAlone(this, next, scope);

  snapshot(): PlainData {
    return {};
  }

  describe(): PlainData {
    return {};
  }
}
