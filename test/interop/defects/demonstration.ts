/** Shows a row of the table twice: what happens in the package, and that it does not happen here. */

import { readFileSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { type Defect, type Topic, defects } from '../defects.ts';

type TitleOf<T extends Topic> = (typeof defects)[T][number]['Defect'];

/** Rejects if what it shows is not so. */
type Show = () => Promise<void> | void;

interface Demonstration {
  /** The defect, in each of the packages that the row names. */
  readonly there: Readonly<Record<string, Show>>;
  /** Where the newest version of a package is not among those that the row names: that it has gone from it. */
  readonly mended?: Readonly<Record<string, Show>>;
  /** The same with our own policies. */
  readonly here: Show;
}

/** `PEERS=newest` runs the tests on these versions (see vitest.config.ts). */
const aliases: Readonly<Record<string, string>> = { opossum: 'opossum10', 'p-retry': 'p-retry9', 'p-timeout': 'p-timeout8' };
const newest = process.env['PEERS'] === 'newest';

/** The packages and versions that a row names: `'opossum 9 and 10, cockatiel 3'`. */
export function packagesOf(cell: string): readonly { readonly name: string; readonly majors: readonly number[] }[] {
  return cell.split(', ').map((each) => {
    const [name, ...words] = each.split(' ');
    return { name: name as string, majors: words.map(Number).filter(Number.isInteger) };
  });
}

/** The version of the package that an import gives here. */
function majorOf(name: string): number {
  const folder = (newest ? aliases[name] : undefined) ?? name;
  const manifest = readFileSync(new URL(`../../../node_modules/${folder}/package.json`, import.meta.url), 'utf8');
  return Number.parseInt((JSON.parse(manifest) as { version: string }).version);
}

/** Declares the tests of all rows of a topic. Their titles are the cells of the table. */
export function demonstrate<T extends Topic>(topic: T, demonstrations: Readonly<Record<TitleOf<T>, Demonstration>>): void {
  const rows: readonly Defect[] = defects[topic];
  describe.each(rows)('$Defect', ({ Defect, Package, 'What happens': happens, Here }) => {
    const { there, mended = {}, here } = demonstrations[Defect as TitleOf<T>];

    for (const { name, majors } of packagesOf(Package)) {
      const major = majorOf(name);
      const show = majors.includes(major) ? there[name] : mended[name];
      test(`${name}: ${majors.includes(major) ? '' : 'no longer: '}${happens}`, async () => {
        expect(show, `is shown for ${name} ${major}`).toBeTypeOf('function');
        await show?.();
      });
    }
    test(`here: ${Here}`, here);
  });

  test('every package that is shown stands in its row', () => {
    for (const { Defect, Package } of rows) {
      const shown = Object.keys(demonstrations[Defect as TitleOf<T>].there);
      expect(shown.sort(), Defect).toEqual(packagesOf(Package).map(({ name }) => name));
    }
    expect(Object.keys(demonstrations)).toEqual(rows.map(({ Defect }) => Defect));
  });
}

/** Work that runs until it is told how to end. */
export class Held {
  /** Runs that have begun and not ended. */
  running = 0;
  /** The most of them at one time. */
  most = 0;
  readonly #ends: ((end: { readonly value: unknown } | { readonly error: unknown }) => void)[] = [];

  readonly work = (): Promise<unknown> => {
    this.running++;
    this.most = Math.max(this.most, this.running);
    return new Promise((resolve, reject) => {
      this.#ends.push((end) => {
        this.running--;
        if ('error' in end) reject(end.error);
        else resolve(end.value);
      });
    });
  };

  /** Ends the oldest run that has not ended. */
  async end(value?: unknown): Promise<void> {
    this.#ends.shift()?.({ value });
    await pass(0);
  }

  async fail(error: unknown = new Error('late')): Promise<void> {
    this.#ends.shift()?.({ error });
    await pass(0);
  }
}

/** What has become of a promise so far. */
export class Fate {
  state: 'pending' | 'value' | 'error' = 'pending';
  got: unknown;

  constructor(promise: PromiseLike<unknown>) {
    promise.then(
      (value) => this.#settle('value', value),
      (error: unknown) => this.#settle('error', error),
    );
  }

  #settle(state: 'value' | 'error', got: unknown): void {
    this.state = state;
    this.got = got;
  }
}

export const fails = (): Promise<never> => Promise.reject(new Error('down'));
export const hangs = (): Promise<never> => new Promise(() => undefined);
export const succeeds = async (): Promise<number> => 1;

/** Lets so many ms of faked time pass, and all that comes of it. */
export async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

/** Waits for a promise that is expected to settle within this faked time. */
export async function within<T>(ms: number, promise: PromiseLike<T>): Promise<T> {
  const fate = new Fate(promise);
  await pass(ms);
  expect(fate.state).not.toBe('pending');
  return promise;
}

/** The error that a promise rejects with within this faked time. */
export async function errorWithin(ms: number, promise: PromiseLike<unknown>): Promise<unknown> {
  const fate = new Fate(promise);
  await pass(ms);
  expect(fate.state).toBe('error');
  return fate.got;
}

export const HOUR = 3_600_000;
