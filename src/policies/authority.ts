/**
 * Authority: lets calls in, or not, by who makes them.
 *
 * @example
 * ```ts
 * import { authority, pipeline } from 'breakwater';
 *
 * const callers = authority({ allow: ['checkout', 'search'] });
 * const prices = pipeline([callers]);
 * console.log(await prices.execute(async () => 42, { tags: { origin: 'checkout' } })); // => 42
 *
 * callers.update({ allow: ['search'] });
 * const refused = await prices.execute(async () => 42, { tags: { origin: 'checkout' } }).catch((error) => error);
 * console.log(refused.code); // => 'ERR_ORIGIN_DENIED'
 * ```
 *
 * @module
 */

import type { Call } from '../core/call.ts';
import { type OptionProblem, OriginDeniedError } from '../core/errors.ts';
import { made } from '../core/made.ts';
import { type CommonSettings, type Mode, type PolicyOptions, commonFields } from '../core/mode.ts';
import { type Field, type Fields, field, fn, oneOf, readOptions, show } from '../core/options.ts';
import { type Failure, refuse } from '../core/outcome.ts';
import { type GatePolicy, type Handler, type PlainData, mountAlone } from '../core/policy.ts';
import type { Scope } from '../core/scope.ts';
import type { Gate } from '../core/stage.ts';

/** Who is on a list: names, or a function that says so. `false`: there is no such list. */
export type Origins = readonly string[] | ((origin: string, call: Call) => boolean) | false;

/** The lists of {@link authority}. */
export interface AuthorityLists {
  /** Only these are let in: names, exactly as they are written, or a function of the origin and the call; `false` for no such list. @defaultValue `false` */
  readonly allow?: Origins;
  /** These are not, also if they stand on the other list. @defaultValue `false` */
  readonly deny?: Origins;
}

/** Options of {@link authority}. */
export interface AuthorityOptions extends AuthorityLists, PolicyOptions {
  /** Who makes a call. What is no string, or empty, is unknown. @defaultValue the call's tag `origin`, or its `key` */
  readonly origin?: (call: Call) => string | undefined;
  /** What becomes of a call of unknown origin. @defaultValue `'refuse'` where there is a list of who is allowed, else `'pass'` */
  readonly unknown?: 'pass' | 'refuse';
}

/** The state of an authority: how many names each list has (`'computed'`: a function decides; nothing: no such list), and how many calls it turned away. */
export type AuthoritySnapshot = PlainData & {
  readonly allow: number | 'computed' | undefined;
  readonly deny: number | 'computed' | undefined;
  readonly refused: number;
};

/** Lists of origins. */
export interface Authority extends GatePolicy {
  readonly kind: 'authority';
  /**
   * Replaces lists; what is not given stays.
   *
   * @throws OptionsError if a list is none
   */
  update(lists: AuthorityLists): void;
  /** Whether the lists are as they were at first. */
  atRest(now: number): boolean;
  snapshot(): AuthoritySnapshot;
}

type List = ReadonlySet<string> | ((origin: string, call: Call) => boolean);

/** Options as read. */
export interface AuthoritySettings extends CommonSettings {
  readonly allow: List | undefined;
  readonly deny: List | undefined;
  readonly origin: ((call: Call) => string | undefined) | undefined;
  readonly unknown: 'pass' | 'refuse' | undefined;
}

/** What stands for a list that is not there, since a field cannot answer with nothing. */
const none: unique symbol = Symbol('no list');

const list: Field<List | typeof none> = field<List | typeof none>('a list of strings, (origin, call) => boolean, or false', (value) => {
  if (value === false) return none;
  if (typeof value === 'function') return value as List;
  return Array.isArray(value) && value.every((name) => typeof name === 'string') ? new Set(value as readonly string[]) : undefined;
});

interface Lists {
  readonly allow: List | typeof none;
  readonly deny: List | typeof none;
}

/** The option table. */
export const authorityFields: Fields<Omit<AuthoritySettings, keyof Lists> & Lists> = {
  allow: list.or(false),
  deny: list.or(false),
  origin: fn<(call: Call) => string | undefined>('(call) => string | undefined').optional(),
  unknown: oneOf('pass', 'refuse').optional(),
  ...commonFields,
};

/**
 * Lets a call in if its origin is allowed and not denied, and refuses it with an {@link OriginDeniedError} if not. Names are compared exactly, in constant time however many there are. A
 * function that throws is reported, and its list then counts against the call. After the authority rules of Sentinel, which let calls of unknown origin pass; here a
 * list of who is allowed refuses them unless told otherwise.
 *
 * @throws OptionsError if an option is wrong, or there is no list at all
 */
export function authority(options: AuthorityOptions): Authority {
  return new AuthorityPolicy(readOptions('authority', authorityFields, options, hasList));
}

function hasList({ allow, deny }: Lists): OptionProblem | undefined {
  if (allow !== none || deny !== none) return undefined;
  return { path: 'allow', expected: `${list.expected}; or deny`, got: 'neither' };
}

function given(either: List | typeof none): List | undefined {
  return either === none ? undefined : either;
}

class AuthorityPolicy implements Authority {
  readonly kind = 'authority';
  readonly name: string | undefined;
  readonly mode: Mode;
  refused = 0;
  readonly #settings: AuthoritySettings;
  allow: List | undefined;
  deny: List | undefined;

  constructor(settings: Omit<AuthoritySettings, keyof Lists> & Lists) {
    this.name = settings.name;
    this.mode = settings.mode;
    this.allow = given(settings.allow);
    this.deny = given(settings.deny);
    this.#settings = { ...settings, allow: this.allow, deny: this.deny };
  }

  gate(scope: Scope): Gate {
    return new AuthorityGate(this, this.#settings, scope);
  }

  mount(next: Handler, scope: Scope): Handler {
    return mountAlone(this, next, scope);
  }

  update(lists: AuthorityLists): void {
    const fields: Fields<Record<keyof Lists, List | typeof none | undefined>> = { allow: list.optional(), deny: list.optional() };
    const { allow = this.allow ?? none, deny = this.deny ?? none } = readOptions('authority.update', fields, lists);
    this.allow = given(allow);
    this.deny = given(deny);
  }

  atRest(): boolean {
    return this.allow === this.#settings.allow && this.deny === this.#settings.deny;
  }

  snapshot(): AuthoritySnapshot {
    return { allow: sizeOf(this.allow), deny: sizeOf(this.deny), refused: this.refused };
  }

  describe(): PlainData {
    const { origin, unknown = this.allow === undefined ? 'pass' : 'refuse' } = this.#settings;
    return {
      allow: sizeOf(this.allow),
      deny: sizeOf(this.deny),
      origin: origin === undefined ? 'tags.origin or key' : 'computed',
      unknown,
    };
  }
}

function sizeOf(names: List | undefined): number | 'computed' | undefined {
  return typeof names === 'function' ? 'computed' : names?.size;
}

/** The lists as one pipeline sees them. */
class AuthorityGate implements Gate<true> {
  readonly timeless = true;
  readonly #policy: AuthorityPolicy;
  readonly #settings: AuthoritySettings;
  readonly #scope: Scope;

  constructor(policy: AuthorityPolicy, settings: AuthoritySettings, scope: Scope) {
    this.#policy = policy;
    this.#settings = settings;
    this.#scope = scope;
  }

  enter(call: Call): true | Failure {
    const { allow, deny } = this.#policy;
    const origin = this.#origin(call);
    if (origin === undefined) {
      const { unknown = allow === undefined ? 'pass' : 'refuse' } = this.#settings;
      return unknown === 'pass' || this.#refuse(call, 'does not let in calls of unknown origin');
    }
    if (deny !== undefined && this.#isOn(deny, origin, call, true)) return this.#refuse(call, `denies the origin ${show(origin)}`);
    if (allow === undefined || this.#isOn(allow, origin, call, false)) return true;
    return this.#refuse(call, `does not allow the origin ${show(origin)}`);
  }

  settle(): void {}
  cancel(): void {}

  #origin(call: Call): string | undefined {
    const { origin } = this.#settings;
    const named: unknown =
      origin === undefined ? (call.tags['origin'] ?? call.key) : this.#scope.ask<unknown>('origin', undefined, () => origin(call));
    return typeof named === 'string' && named !== '' ? named : undefined;
  }

  #isOn(names: List, origin: string, call: Call, instead: boolean): boolean {
    if (typeof names !== 'function') return names.has(origin);
    return this.#scope.ask(names === this.#policy.allow ? 'allow' : 'deny', instead, () => Boolean(names(origin, call) as unknown));
  }

  #refuse(call: Call, why: string): Failure {
    const { pipeline, policy, stack } = this.#scope;
    this.#policy.refused++;
    return refuse(made(OriginDeniedError, `${pipeline}: ${policy} ${why}`, { pipeline, policy, key: call.key }, stack));
  }
}
