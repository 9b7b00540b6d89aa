/** Finds the keys that are asked for most, and keeps an account of those alone. Pure: time comes in as `now`, in ms. */

import { HeavyKeeper, type Trace } from './heavy-keeper.ts';
import { type Bucket, Charge as Payment } from './meters/token-bucket.ts';

/** What a key is kept under. */
export type Id = string | bigint;

/** What makes a key hot. */
export interface HotKeysSettings {
  /** Calls are counted over this time, ms. */
  readonly window: number;
  /** So many keys have an account. */
  readonly top: number;
  /** From so many calls in a window on a key is hot. */
  readonly threshold: number;
  /** What a hot key is allowed in a window. */
  readonly limit: number;
}

/** The account of one key. */
export class KeyAccount {
  readonly id: Id;
  /** Calls in the present window, let through or not, and in the one before. */
  calls: number;
  before = 0;
  /** Of the calls in the present window those that were let through. */
  passed: number;
  /** What bounds the key while it is hot. It is paid from the beginning on. */
  readonly meter: Bucket;
  hot = false;

  constructor(id: Id, calls: number, meter: Bucket) {
    this.id = id;
    this.calls = calls;
    this.passed = calls;
    this.meter = meter;
  }

  /** So many windows have passed; if less than none, time has begun anew. */
  turn(passed: number, now: number): void {
    this.before = passed === 1 ? this.calls : 0;
    this.calls = this.passed = 0;
    if (passed < 0) this.meter.begin(now);
  }

  /** How much it is asked for: the calls of the last full window, or of the present one if they are more already. */
  get heat(): number {
    return Math.max(this.before, this.calls);
  }
}

/** A call of a key that was let through, to be taken back if need be. */
export interface Charge {
  /** Where the sketch has counted it; nowhere if the key has a limit of its own. */
  readonly trace: Trace | undefined;
  readonly id: Id;
  /** The meter that it has paid to, if its key had an account before. */
  readonly meter: Bucket | undefined;
  /** Whether it is the one that has made its key hot. */
  readonly heats: boolean;
  /** What it has paid there. */
  readonly payment: Payment | undefined;
  /** The window it was counted in. */
  readonly window: number;
}

/**
 * Counts calls of any number of keys in a sketch, window by window, and those of the keys that come most often one by one. A key that is hot is bounded by a meter of its
 * own, which begins with what the key is known to have done in its window: never with more than that, so that no key is held to less than the limit.
 */
export class HotKeys {
  readonly settings: HotKeysSettings;
  readonly accounts: Map<Id, KeyAccount> = new Map<Id, KeyAccount>();
  /** Accounts of keys that always have a meter, with a limit of their own. */
  readonly fixed: Map<Id, KeyAccount> = new Map<Id, KeyAccount>();
  readonly #sketch: HeavyKeeper;
  readonly #newMeter: (now: number) => Bucket;
  /** Keeps an id, in memory of its own. */
  readonly #keep: (id: Id) => Id;
  /** Number of the present window since time 0. */
  #window = -Infinity;
  /** A key that is asked for no more than this finds no room. */
  #floor = 0;
  /** Calls of keys that would have been hot in the present window, had there been room. */
  crowded = 0;

  constructor(settings: HotKeysSettings, newMeter: (now: number) => Bucket, keep: (id: Id) => Id, seed: number) {
    this.settings = settings;
    this.#newMeter = newMeter;
    this.#keep = keep;
    this.#sketch = new HeavyKeeper(2 ** Math.ceil(Math.log2(Math.max(32, settings.top) * 32)), seed);
  }

  /** Moves on to the window of `now`; answers with the keys that are hot no more. */
  advance(now: number): readonly KeyAccount[] {
    const window = Math.floor(now / this.settings.window);
    const passed = window - this.#window;
    // Time that goes back stands still; by more than a window, it has begun anew.
    if (passed === 0 || passed === -1) return none;
    this.#window = window;
    this.#sketch.clear();
    this.#floor = Math.min(1, this.settings.threshold - 1);
    this.crowded = 0;
    const cooled: KeyAccount[] = [];
    for (const account of this.fixed.values()) account.turn(passed, now);
    for (const account of this.accounts.values()) {
      account.turn(passed, now);
      if (account.hot && account.before < this.settings.threshold / 2 && account.meter.isFresh(now)) {
        account.hot = false;
        cooled.push(account);
      }
      if (!account.hot && account.before === 0) this.accounts.delete(account.id);
    }
    return cooled;
  }

  /** The account of a key, if it has one. */
  find(id: Id): KeyAccount | undefined {
    return this.fixed.get(id) ?? this.accounts.get(id);
  }

  /** Gives a key a meter for good. */
  fix(id: Id, meter: Bucket): void {
    const account = new KeyAccount(this.#keep(id), 0, meter);
    account.hot = true;
    this.fixed.set(account.id, account);
  }

  /** Counts a call that was turned away. */
  refuse(id: Id): void {
    const account = this.find(id);
    if (account !== undefined) account.calls++;
  }

  /** Counts a call that is let through, and has it pay. `advance` comes first. */
  pass(id: Id, now: number): Charge {
    const known = this.find(id);
    const meter = known?.meter;
    const window = this.#window;
    const payment = meter?.take(1, now);
    if (known !== undefined) {
      known.calls++;
      known.passed++;
    }
    if (known !== undefined && this.fixed.has(id)) return { trace: undefined, id, meter, payment, window, heats: false };
    const trace = this.#sketch.trace(id);
    const estimate = this.#sketch.add(trace);
    const account = known ?? this.#open(id, estimate, now);
    const heats = account !== undefined && !account.hot && account.passed >= this.settings.threshold;
    if (heats) account.hot = true;
    return { trace, id, meter, payment, window, heats };
  }

  /** Takes a call back that came to nothing. */
  giveBack(charge: Charge, now: number): void {
    const { trace, id, meter, payment = new Payment(1, now), window } = charge;
    if (window !== this.#window) {
      meter?.giveBack(payment, now);
      return;
    }
    const account = this.find(id);
    // One that came before its key had an account is among what that began with.
    (meter ?? account?.meter)?.giveBack(payment, now);
    if (trace !== undefined) this.#sketch.remove(trace);
    if (account === undefined || account.passed === 0) return;
    account.calls--;
    account.passed--;
  }

  /** Accounts, the hottest first. */
  hottest(): KeyAccount[] {
    return [...this.fixed.values(), ...this.accounts.values()].sort((one, other) => other.heat - one.heat);
  }

  /** Opens an account for a key, if there is room or one that is asked for less and owes nothing. */
  #open(id: Id, estimate: number, now: number): KeyAccount | undefined {
    if (estimate <= this.#floor || !this.#makeRoom(estimate, now)) {
      if (estimate >= this.settings.threshold) this.crowded++;
      return undefined;
    }
    // What it did before counts as done at the beginning of the window: later would hold it to less than the limit.
    const begun = Math.min(now, this.#window * this.settings.window);
    const meter = this.#newMeter(begun);
    meter.take(Math.min(this.settings.limit, estimate), begun);
    const account = new KeyAccount(this.#keep(id), estimate, meter);
    this.accounts.set(account.id, account);
    return account;
  }

  #makeRoom(estimate: number, now: number): boolean {
    if (this.accounts.size < this.settings.top) return true;
    const coolest = this.#coolest(now);
    this.#floor = coolest?.heat ?? Infinity;
    return coolest !== undefined && coolest.heat < estimate && this.accounts.delete(coolest.id);
  }

  #coolest(now: number): KeyAccount | undefined {
    let coolest: KeyAccount | undefined;
    for (const account of this.accounts.values())
      if ((coolest === undefined || account.heat < coolest.heat) && (!account.hot || account.meter.isFresh(now))) coolest = account;
    return coolest;
  }
}

const none: readonly KeyAccount[] = [];
