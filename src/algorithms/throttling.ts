/**
 * Client-side adaptive throttling: whoever is turned away by a service more often than he is served sends less, by his own knowledge alone. Pure: time comes in as
 * `now` (ms), chance as `u` in [0, 1). After Google's "Site Reliability Engineering", chapter 21, "Handling Overload".
 */

import { Fifo, type Linked } from './fifo.ts';
import { RecentLevels } from './recent-levels.ts';
import { RequestWindow } from './request-window.ts';

/** What a throttle goes by. */
export interface ThrottlingSettings {
  /** So many requests are made for each that is accepted. */
  readonly k: number;
  /** Above 1, turns more away early on (Envoy): the probability is raised to the power of `1 / aggression`. */
  readonly aggression: number;
  /** What is looked back on, ms. */
  readonly window: number;
  readonly buckets: number;
  /** With fewer requests of its class in the window, no call is turned away. */
  readonly minRequests: number;
  /** At most this share of the calls, 0 to 1. */
  readonly maxRejection: number;
  /** Whether calls turned away here count as requests. */
  readonly localRejections: boolean;
  /** If no call has passed for so long, ms, the next one does. */
  readonly probeInterval: number;
  /** A call under way for longer, ms, counts as a request that is not accepted, until it is. */
  readonly overdueAfter: number;
}

/** The share of calls to turn away, 0 to 1: as many as were made beyond `k` for each that was accepted. */
export function rejectionProbability(requests: number, accepts: number, k: number, aggression = 1): number {
  const share = Math.max(0, (requests - k * accepts) / (requests + 1));
  return aggression === 1 ? share : share ** (1 / aggression);
}

/** A call that was let through. */
export class ThrottlePass implements Linked {
  ahead: Linked | undefined = undefined;
  behind: Linked | undefined = undefined;
  standsIn: object | undefined = undefined;
  readonly account: Account;
  readonly at: number;
  /** When a call of its class was let through before. */
  readonly before: number;
  /** The bucket that it was counted in as a request; none while it is in doubt. */
  bucket: number | undefined = undefined;
  /** Whatever its owner wants to remember. */
  readonly subject: unknown;

  constructor(account: Account, at: number, subject: unknown) {
    this.account = account;
    this.at = at;
    this.before = account.lastPass;
    this.subject = subject;
  }
}

/** What is known of one class. */
export class Account {
  readonly window: RequestWindow;
  readonly levels: RecentLevels = new RecentLevels();
  lastPass: number = -Infinity;
  lastRefusal: number = -Infinity;
  /** Whether calls are being turned away, and when that last was so. */
  engaged = false;
  lastEngaged: number = -Infinity;

  constructor({ window, buckets }: ThrottlingSettings) {
    this.window = new RequestWindow(window, buckets);
  }
}

/**
 * A throttle for calls of several classes, 0 and up; higher ones matter more. Each class has its own window, so that those that are turned away do not spoil it
 * for others. Where the service takes less than all of them need, the higher classes also have what was accepted of the lower ones: those are turned away first.
 */
export class Throttling {
  readonly settings: ThrottlingSettings;
  readonly accounts: (Account | undefined)[];
  readonly #underway = new Fifo<ThrottlePass>();
  /** Calls under way, the overdue ones too. */
  pending = 0;
  /** Classes that calls have come of. */
  #known = 0;
  /** What is accepted of each class, once the higher ones have helped themselves. */
  readonly #shares: Float64Array;

  constructor(settings: ThrottlingSettings, classes: number) {
    this.settings = settings;
    this.accounts = new Array<Account | undefined>(classes).fill(undefined);
    this.#shares = new Float64Array(classes);
  }

  /** How likely a call of this class is to be turned away now, 0 to 1. */
  probability(place: number, now: number): number {
    this.#look(now);
    if (this.#outranked(place, now)) return 1;
    const own = this.accounts[place];
    const { k, aggression, minRequests, maxRejection } = this.settings;
    if (own === undefined || own.window.requests < minRequests) return 0;
    return Math.min(maxRejection, rejectionProbability(own.window.requests, this.#share(place), k, aggression));
  }

  /** How long until a call of this class passes whatever the probability, if none does meanwhile; 0 if the next one does. */
  untilProbe(place: number, now: number): number {
    const { accounts, settings } = this;
    let last = accounts[place]?.lastPass ?? -Infinity;
    if (this.#outranked(place, now)) for (const account of accounts) last = Math.max(last, account?.lastPass ?? -Infinity);
    return last > now ? 0 : Math.max(0, last + settings.probeInterval - now);
  }

  /** Whether a call of this level (0 to 99) is among the `probability` of its class to be turned away. */
  draws(place: number, probability: number, level: number, u: number): boolean {
    const { levels } = this.#of(place);
    levels.add(level);
    return u < levels.lot(level, probability);
  }

  /** Turns a call away. */
  refuse(place: number, now: number): void {
    const own = this.#of(place);
    own.lastRefusal = now;
    if (this.settings.localRejections) own.window.request(now);
  }

  /** Lets a call through. Until it has ended, or is overdue, nobody knows what it will say. */
  pass(place: number, now: number, subject: unknown): ThrottlePass {
    const pass = new ThrottlePass(this.#of(place), now, subject);
    pass.account.lastPass = now;
    this.pending++;
    this.#underway.push(pass);
    return pass;
  }

  /** A call has ended. */
  settle(pass: ThrottlePass, accepted: boolean, now: number): void {
    const { window } = pass.account;
    this.#end(pass);
    if (pass.bucket === undefined) window.request(now);
    if (accepted) window.accept(now);
  }

  /** A call has come to nothing that says anything about the service. */
  forget(pass: ThrottlePass): void {
    this.#end(pass);
    if (pass.bucket !== undefined) pass.account.window.unrequest(pass.bucket);
  }

  /** A call did not get as far as the service: if it was to try it out, another one may. */
  giveBack(pass: ThrottlePass): void {
    this.forget(pass);
    if (pass.account.lastPass === pass.at) pass.account.lastPass = pass.before;
  }

  /** Whether this probability is news: calls of the class are turned away now, or for the time of a bucket have not been. */
  turns(place: number, probability: number, now: number): 'engaged' | 'released' | undefined {
    if (probability > 0) {
      const own = this.#of(place);
      own.lastEngaged = now;
      if (own.engaged) return undefined;
      own.engaged = true;
      return 'engaged';
    }
    const own = this.accounts[place];
    if (own?.engaged !== true || now - own.lastEngaged < own.window.width) return undefined;
    own.engaged = false;
    return 'released';
  }

  #of(place: number): Account {
    const known = this.accounts[place];
    if (known !== undefined) return known;
    this.#known++;
    return (this.accounts[place] = new Account(this.settings));
  }

  #end(pass: ThrottlePass): void {
    this.#underway.remove(pass);
    this.pending--;
  }

  /** Brings everything up to `now`. */
  #look(now: number): void {
    for (const account of this.accounts) account?.window.expire(now);
    const { overdueAfter } = this.settings;
    for (let pass = this.#underway.oldest; pass !== undefined && now - pass.at >= overdueAfter; pass = this.#underway.oldest) {
      this.#underway.remove(pass);
      pass.bucket = pass.account.window.request(now);
    }
  }

  /** Whether a call of a higher class was turned away just now: then all of a lower one are. */
  #outranked(place: number, now: number): boolean {
    const { probeInterval, window, buckets } = this.settings;
    for (let higher = place + 1; higher < this.accounts.length; higher++) {
      const since = now - (this.accounts[higher]?.lastRefusal ?? -Infinity);
      if (since >= 0 && since < Math.min(probeInterval, window / buckets)) return true;
    }
    return false;
  }

  /** What may be taken as accepted for this class: from the highest down, each takes what it lacks from the lowest that has something. */
  #share(place: number): number {
    if (this.#known === 1) return (this.accounts[place] as Account).window.accepts;
    const shares = this.#shares;
    this.accounts.forEach((account, i) => (shares[i] = account?.window.accepts ?? 0));
    for (let higher = shares.length - 1; higher >= place; higher--) {
      let lacking = (this.accounts[higher]?.window.requests ?? 0) / this.settings.k - (shares[higher] as number);
      for (let lower = 0; lower < higher && lacking > 0; lower++) {
        const taken = Math.min(lacking, shares[lower] as number);
        (shares[lower] as number) -= taken;
        (shares[higher] as number) += taken;
        lacking -= taken;
      }
    }
    return shares[place] as number;
  }
}
