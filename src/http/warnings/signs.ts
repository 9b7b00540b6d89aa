/** Signs that something is set up in a way that does not do what it is there for. They look at the first requests only, and then no more. */

import { isIPv6 } from 'node:net';
import { limiters } from '../../core/lint-layer.ts';
import type { AnyPolicy } from '../../core/policy.ts';
import { compileTrust } from '../identity/client-address.ts';
import type { Connected } from '../identity/identity.ts';
import { type WarningCode, type Warnings, hears, warn } from './warnings.ts';

/** So many requests of a guard are looked at. */
const LOOKED_AT = 200;

/** So many guards that were made and used within one tick, and never again, are no accident. */
const TOO_MANY = 10;

/** Addresses all over the world; whoever trusts these trusts everybody. */
const strangers = {
  4: ['1.1.1.1', '8.8.8.8', '81.2.69.142', '133.11.0.1', '200.7.84.1', '203.0.113.7'],
  6: ['2001:4860:4860::8888', '2400:cb00::1', '2606:4700::1', '2800:3f0::1', '2a00:1450::1', '2c0f:f248::1'],
} as const;

/** Kinds of which a request should pass each only once. */
const counting = new Set([...limiters, 'per-key', 'bulkhead', 'adaptive-limiter', 'circuit-breaker', 'opossum', 'bottleneck']);

/** Whether everybody is believed about who called them: `true`, `'all'`, or networks that make up all of IPv4 or of IPv6. */
export function trustsEverybody(trustProxy: unknown): boolean {
  if (trustProxy === true || trustProxy === 'all') return true;
  if (typeof trustProxy !== 'string' && !Array.isArray(trustProxy)) return false;
  const trust = compileTrust(trustProxy as string | readonly string[]);
  return strangers[4].every(trust) || strangers[6].every(trust);
}

/** Whether proxies are counted that this request did not come through: the address found is what the client wrote. */
export function countsTooMany(hops: number, forwarded: string | readonly string[] | undefined): boolean {
  if (forwarded === undefined || hops === 0) return false;
  const text = typeof forwarded === 'string' ? forwarded : forwarded.join(',');
  if (text.length > 8192) return false;
  return text.split(',', hops).filter((member) => member.trim() !== '').length < hops;
}

/** Whether this is one whole address of IPv6, and not the loopback one. */
export function isWholeIpv6(key: string): boolean {
  return key.length > 3 && key.length < 64 && key.includes(':') && isIPv6(key) && !/^::(?:ffff:[\d.]+|1)$/i.test(key);
}

/** Whether this process is one of several that do the same: a worker of `node:cluster`, or the second or a later one of a process manager. */
export function isOneOfSeveral(env: Readonly<Record<string, string | undefined>> = process.env): boolean {
  if (Number(env['NODE_APP_INSTANCE']) > 0) return true;
  const { getBuiltinModule } = process as { getBuiltinModule?: (id: string) => { readonly isWorker?: boolean } | undefined };
  return getBuiltinModule?.('node:cluster')?.isWorker === true;
}

/** The policies of nested pipelines, too. */
function* flat(policies: readonly AnyPolicy[]): Generator<AnyPolicy> {
  for (const policy of policies) {
    const { layers } = policy as { readonly layers?: readonly { readonly policy: AnyPolicy }[] };
    if (layers !== undefined) yield* flat(layers.map((layer) => layer.policy));
    else yield policy;
  }
}

function limitsRates(policy: AnyPolicy): boolean {
  if (policy.kind !== 'per-key') return limiters.includes(policy.kind);
  const { each } = policy.describe() as { readonly each?: { readonly kind?: string } };
  return each?.kind !== undefined && limiters.includes(each.kind);
}

/** Which policies have counted a request already. */
const counted = new WeakMap<object, ReadonlySet<AnyPolicy>>();

/** The tick that is running, and how many guards were used in the one they were made in and not since. */
const birth = { tick: {}, suspects: 0, ticking: false };

function currentTick(): object {
  if (!birth.ticking) {
    birth.ticking = true;
    birth.tick = {};
    process.nextTick(() => {
      birth.ticking = false;
      birth.tick = {};
    });
  }
  return birth.tick;
}

/** How a guard is set up, as far as it can be told to be wrong. */
export interface Setup {
  readonly name: string;
  readonly policies: readonly AnyPolicy[];
  readonly warnings?: Warnings;
  readonly trustProxy: number | string | readonly string[];
  /** Whether the key is a function of the user's, and not the address. */
  readonly ownKey: boolean;
}

/**
 * Looks at how one guard is made, and at its first requests. A guard that is used in the tick it was made in was made for that request, unless it is kept
 * and used again; when many are, somebody makes them per request.
 */
export class WarningSigns {
  readonly #setup: Setup;
  readonly #counting: readonly AnyPolicy[];
  /** Whether some policy keeps state per key, and lets requests without one pass. */
  readonly #keyed: boolean;
  readonly #made: object | undefined;
  #left: number;
  #seen = 0;
  #suspect = false;

  constructor(setup: Setup) {
    const { warnings, policies, trustProxy } = setup;
    this.#setup = setup;
    this.#left = hears(warnings) ? LOOKED_AT : 0;
    const all = this.#left > 0 ? [...flat(policies)] : [];
    this.#keyed = all.some((policy) => policy.kind === 'per-key' && policy.describe()['missing'] === 'pass');
    this.#counting = all.filter(({ kind }) => counting.has(kind));
    this.#made = this.#left > 0 ? currentTick() : undefined;
    if (this.#left === 0) return;
    if (trustsEverybody(trustProxy)) this.#warn('BREAKWATER_PERMISSIVE_TRUST');
    if (all.some(limitsRates) && isOneOfSeveral()) this.#warn('BREAKWATER_MEMORY_IN_CLUSTER');
  }

  /** Whether requests are still looked at: ask before `meet` and `look`, and nothing is done for those that are not. */
  get watching(): boolean {
    return this.#left > 0;
  }

  /** A request comes. To be called in the tick it comes in, before anything is waited for. */
  meet(): void {
    this.#seen++;
    if (this.#seen === 1 && birth.ticking && this.#made === birth.tick) {
      this.#suspect = true;
      if (++birth.suspects >= TOO_MANY) this.#warn('BREAKWATER_CREATED_PER_REQUEST');
    } else if (this.#suspect) {
      // It was kept, and is used again: made late, and once.
      this.#suspect = false;
      birth.suspects--;
    }
  }

  /**
   * Looks at a request that is about to be counted. `identity` is the object that stands for it in every guard it passes, such as Node's own
   * request; `key` is what it is counted by.
   */
  look(identity: object, { socket, headers }: Connected, key: string | undefined): void {
    this.#left--;
    if (this.#setup.ownKey) {
      if (key === undefined && this.#keyed) this.#warn('BREAKWATER_NO_KEY');
      else if (typeof key === 'string' && isWholeIpv6(key)) this.#warn('BREAKWATER_IPV6_KEY');
    } else if (key !== undefined) this.#lookAtAddress(socket, headers);
    if (this.#counting.length > 0) this.#count(identity);
  }

  #lookAtAddress(socket: Connected['socket'], headers: Connected['headers']): void {
    const { trustProxy } = this.#setup;
    const forwarded = headers['x-forwarded-for'];
    if (!socket.remoteAddress && (socket as { readonly destroyed?: boolean }).destroyed !== true) this.#warn('BREAKWATER_NO_ADDRESS');
    if (typeof trustProxy === 'number' && countsTooMany(trustProxy, forwarded)) this.#warn('BREAKWATER_PERMISSIVE_TRUST');
    const nobody = trustProxy === 0 || (Array.isArray(trustProxy) && trustProxy.length === 0);
    if (nobody && (forwarded ?? headers['forwarded']) !== undefined) this.#warn('BREAKWATER_FORWARDED_WITHOUT_TRUST');
    if (!nobody && forwarded === undefined && headers['forwarded'] !== undefined) this.#warn('BREAKWATER_FORWARDED_UNREAD');
  }

  #count(identity: object): void {
    const before = counted.get(identity);
    if (before === undefined) counted.set(identity, new Set(this.#counting));
    else if (this.#counting.some((policy) => before.has(policy))) this.#warn('BREAKWATER_DOUBLE_COUNT');
    else counted.set(identity, new Set([...before, ...this.#counting]));
  }

  #warn(code: WarningCode): void {
    warn(this.#setup.warnings, code, this.#setup.name);
  }
}
