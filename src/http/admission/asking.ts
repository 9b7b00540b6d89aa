/** What a request is asked before it comes to the gates: whether it must pass them at all, whom it is from, how much it matters, how long it has. */

import { type Duration, parseDuration, show } from '../../core/options.ts';
import { OptionsError } from '../../core/errors.ts';
import { type Priority, isPriority } from '../../core/priority.ts';
import { readDeadline } from '../../fields/deadline.ts';
import { type StatedPriority, parsePriority } from '../../fields/priority.ts';
import { type Trust, compileTrust } from '../identity/client-address.ts';
import type { GuardSettings, Soon } from './guard-options.ts';
import { type Connected, Identity } from '../identity/identity.ts';

/** What a request has answered. */
export interface Asked {
  /** `past`: it need not pass the gates. `denied`: it must not come in. */
  readonly way: 'in' | 'past' | 'denied';
  readonly key: string | undefined;
  readonly cost: number;
  /** ms; `Infinity` for none. */
  readonly deadline: number;
  readonly priority: Priority;
  readonly priorityLevel: number | undefined;
}

const past: Asked = {
  way: 'past',
  key: undefined,
  cost: 1,
  deadline: Infinity,
  priority: 'critical',
  priorityLevel: undefined,
};

const denial: Asked = { ...past, way: 'denied' };

/** Asks requests. */
export class Asking<Req> {
  readonly identity: Identity;
  readonly #settings: GuardSettings<Req>;
  readonly #key: ((req: Req) => Soon<string | undefined>) | undefined;
  readonly #allowed: (req: Req, caller: Connected) => Soon<boolean>;
  readonly #denied: (req: Req, caller: Connected) => Soon<boolean>;

  constructor(settings: GuardSettings<Req>) {
    this.#settings = settings;
    this.identity = new Identity(settings);
    this.#key = settings.key ?? settings.keyGenerator;
    this.#allowed = this.#listed('allowList');
    this.#denied = this.#listed('denyList');
  }

  /** Asks the user's functions, in this order; those that answer at once cost no time. Rejects with what they throw. */
  async ask(req: Req, caller: Connected): Promise<Asked> {
    const { skip, cost } = this.#settings;
    const skipped = skip?.(req) ?? false;
    if (typeof skipped === 'boolean' ? skipped : await skipped) return past;
    const denied = this.#denied(req, caller);
    if (typeof denied === 'boolean' ? denied : await denied) return denial;
    const allowed = this.#allowed(req, caller);
    if (typeof allowed === 'boolean' ? allowed : await allowed) return past;
    const told = this.#key === undefined ? this.identity.key(caller) : this.#key(req);
    const key = typeof told === 'string' ? told : await told;
    const trusted = this.identity.isTrusted(caller);
    const said = trusted ? this.#said(caller) : undefined;
    return {
      way: 'in',
      key,
      cost: typeof cost === 'function' ? cost(req) : cost,
      deadline: Math.min(this.#deadline(req), trusted ? this.#left(caller) : Infinity),
      priority: said?.priority ?? this.#priority(req),
      priorityLevel: said?.priorityLevel,
    };
  }

  #deadline(req: Req): number {
    const { deadline } = this.#settings;
    if (typeof deadline === 'number') return deadline;
    const said: Duration = deadline(req);
    const ms = parseDuration(said);
    if (ms === undefined) throw wrong('deadline', "a duration: ms, or a number with its unit such as '2s'", said);
    return ms;
  }

  #priority(req: Req): Priority {
    const { priority } = this.#settings;
    if (typeof priority === 'string') return priority;
    const said = priority(req);
    if (!isPriority(said)) throw wrong('priority', 'the name of a priority, such as sheddable', said);
    return said;
  }

  /** Time that a trusted peer says it has left. */
  #left({ headers }: Connected): number {
    return readDeadline((name) => first(headers[name]), this.#settings.deadlineHeaders) ?? Infinity;
  }

  /** How much a trusted peer says it matters; what it says wrong counts as not said. */
  #said({ headers }: Connected): StatedPriority | undefined {
    const { priorityHeader } = this.#settings;
    const field = priorityHeader === false ? undefined : first(headers[priorityHeader]);
    return field === undefined ? undefined : parsePriority(field);
  }

  #listed(name: 'allowList' | 'denyList'): (req: Req, caller: Connected) => Soon<boolean> {
    const list = this.#settings[name];
    if (typeof list === 'function') return list;
    if (list.length === 0) return nobody;
    const has: Trust = compileTrust(list, `guard.${name}`);
    return (_, caller) => {
      const address = this.identity.address(caller);
      return address !== undefined && has(address);
    };
  }
}

function nobody(): boolean {
  return false;
}

function first(field: string | readonly string[] | undefined): string | undefined {
  return typeof field === 'object' ? field[0] : field;
}

function wrong(option: string, expected: string, got: unknown): OptionsError {
  return new OptionsError([{ path: `guard.${option}(req)`, expected, got: show(got) }]);
}
