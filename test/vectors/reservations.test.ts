import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { FixedWindow } from '../../src/algorithms/meters/fixed-window.ts';
import { exceeds } from '../../src/algorithms/meters/meter.ts';
import { type VectorFile, replay } from './replay.mjs';

type Config =
  | { readonly limitForPeriod: number; readonly periodMs: number; readonly timeoutMs: number; readonly kind?: undefined }
  | { readonly kind: 'smooth'; readonly intervalMs: number }
  | { readonly kind: 'bursty'; readonly limit: number; readonly periodMs: number };

interface Step {
  readonly at: number;
  readonly op: string;
  readonly n: number;
  readonly maxWait?: number;
  readonly limit: number;
}

function limitOf(config: Config): { limit: number; window: number } {
  if (config.kind === 'smooth') return { limit: 1, window: config.intervalMs };
  return { limit: config.kind === 'bursty' ? config.limit : config.limitForPeriod, window: config.periodMs };
}

/** Reservations in aligned windows, by holders who were told when to act: one of n permits is n of one permit, and acts when the last of them does. */
class Reserved {
  #meter: FixedWindow;
  readonly #patience: number;

  constructor(config: Config) {
    this.#meter = new FixedWindow(limitOf(config), true);
    this.#patience = 'timeoutMs' in config ? config.timeoutMs : Infinity;
  }

  step({ at, op, n, maxWait, limit }: Step): object {
    switch (op) {
      case 'acquire':
      case 'reserve': {
        const waitMs = this.#reserve(n, at, maxWait ?? this.#patience);
        return { ok: waitMs >= 0, waitMs, wait: waitMs, permits: this.#meter.available(at) };
      }
      case 'state':
        return { permits: this.#meter.available(at), waitMs: this.#meter.wait(1, at) };
      case 'setLimit':
        this.#meter.change({ ...this.#meter.limit, limit }, at);
        return {};
      default:
        throw new Error(`not offered: ${op}`);
    }
  }

  #reserve(permits: number, at: number, patience: number): number {
    const after = this.#meter.copy();
    let wait = 0;
    for (let i = 0; i < permits; i++) {
      wait = after.wait(1, at);
      after.take(1, at);
    }
    if (exceeds(wait, patience, at)) return -1;
    this.#meter = after;
    return wait;
  }
}

test.each([
  ['07-fixed-cycle-resilience4j', 5],
  ['08-smooth-bursty-failsafe', 4],
])('third-party vectors %s: permits of windows to come, reserved', async (name, cases) => {
  const file = JSON.parse(readFileSync(new URL(`${name}.json`, import.meta.url), 'utf8')) as VectorFile;
  const result = await replay(file, { make: (config: Config) => new Reserved(config) });
  expect(result.failures).toEqual([]);
  expect(result.skipped).toEqual([]);
  expect(result.cases).toBe(cases);
});
