import { OptionsError } from '../../core/errors.ts';
import { type Duration, type Field, type Fields, duration, field, readOptions } from '../../core/options.ts';
import type { LevelChange } from './feature-switch.ts';

/** What goes along with an order. */
export interface OrderOptions {
  /** Why, for whoever looks at the switchboard. */
  readonly reason?: string;
  /** Who gives it. */
  readonly by?: string;
  /** After this time it lapses by itself. @defaultValue until it is taken back */
  readonly for?: Duration;
}

/** The same, as read. */
export interface OrderSettings {
  readonly reason: string | undefined;
  readonly by: string | undefined;
  readonly for: number | undefined;
}

/** What has happened to a switchboard. */
export type SwitchboardAction = 'set' | 'cleared' | 'held' | 'released' | 'applied' | 'rolled-back' | 'lapsed' | 'automatic';

/** One line of a switchboard's history. */
export interface SwitchboardEntry {
  /** When, ms since 1970. */
  readonly at: number;
  readonly action: SwitchboardAction;
  readonly feature?: string;
  readonly plan?: string;
  readonly reason?: string;
  readonly by?: string;
  /** The features that came to another level by it. */
  readonly changes: readonly LevelChange[];
}

const remark: Field<string> = field('a string of 1 to 500 characters', (value) =>
  typeof value === 'string' && value.length >= 1 && value.length <= 500 ? value : undefined,
);

const orderFields: Fields<OrderSettings> = {
  reason: remark.optional(),
  by: remark.optional(),
  for: duration({ min: 1, infinite: true }).optional(),
};

/** Reads what goes along with an order; a plain string is the reason. @throws OptionsError */
export function readOrder(what: string, given: string | OrderOptions | undefined): OrderSettings {
  return readOptions(what, orderFields, typeof given === 'string' ? { reason: given } : given);
}

/** A name of a feature, a level or a plan: it ends up in logs, labels and tables. */
export const nameField: Field<string> = field(
  'a name of up to 100 letters, digits, spaces and _ . : / @ -, beginning with a letter or digit, and no name that every object has',
  (value) => (typeof value === 'string' && /^[\p{L}\p{N}][\p{L}\p{N} _.:/@-]{0,99}$/u.test(value) && !(value in {}) ? value : undefined),
);

/** Reads a name. @throws OptionsError */
export function readName(path: string, value: unknown): string {
  return readOptions<{ name: string }>(path, { name: nameField }, { name: value }).name;
}

/** The last lines of a history. */
export class OrderBook {
  readonly #most: number;
  #entries: SwitchboardEntry[] = [];

  constructor(most: number) {
    this.#most = most;
  }

  add(entry: SwitchboardEntry): void {
    this.#entries.push(entry);
    if (this.#entries.length > this.#most) this.#entries = this.#entries.slice(this.#entries.length - this.#most);
  }

  /** Oldest first. */
  all(): readonly SwitchboardEntry[] {
    return [...this.#entries];
  }
}

/** An error about one thing that a board was asked for. */
export function wrong(path: string, expected: string, got: string): OptionsError {
  return new OptionsError([{ path, expected, got }]);
}

/** Only what there is to tell. */
export function told<T extends object>(facts: T): { [Name in keyof T]?: NonNullable<T[Name]> } {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined)) as {
    [Name in keyof T]?: NonNullable<T[Name]>;
  };
}
