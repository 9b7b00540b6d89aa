/** What the compiler knows about switches and tiers. Nothing here runs. */

import { type Fallback, type Settled, degrade, fallback, pipeline, retry, switchboard } from 'breakwater';
import { same, typed } from './equal.ts';

interface Item {
  readonly id: number;
}

declare const items: Item[];

export async function levelsAndAnswersAreKnown(): Promise<void> {
  const hints = degrade({
    feature: 'hints',
    levels: ['full', { name: 'cached', run: async (call) => [{ id: call.attempt }] }, { name: 'off', value: [] }],
  });
  typed(hints.level).is<'full' | 'cached' | 'off'>();
  typed(await pipeline([hints]).execute(() => items)).is<Item[]>();
  hints.set('cached', { for: '1h' });
  hints.hold('off');
  // @ts-expect-error no such level
  hints.set('of');
  // @ts-expect-error an unknown unit
  hints.set('off', { for: '1d' });
}

export async function aSwitchThatRefusesAddsNothing(): Promise<void> {
  const orders = degrade({ feature: 'orders', kind: 'write' });
  typed(orders.level).is<'full' | 'off'>();
  typed(await pipeline([orders, retry()]).execute(() => items)).is<Item[]>();
  const lights = degrade({ feature: 'orders', levels: ['full', 'read-only', { name: 'off', value: null }] });
  typed(lights.level).is<'full' | 'read-only' | 'off'>();
  typed(await pipeline([lights]).execute(() => items)).is<Item[] | null>();
  // @ts-expect-error an unknown kind
  degrade({ feature: 'orders', kind: 'delete' });
  // @ts-expect-error work is true or not there
  degrade({ feature: 'orders', levels: ['full', { name: 'off', work: false }] });
  // @ts-expect-error a feature has a name
  degrade({});
}

export function boardsTakeNamesOfAnyFeature(): void {
  const board = switchboard();
  board.plan('sale', { hints: 'off' }).apply({ by: 'ada' });
  board.on('degrade.changed', ({ from, cause }) => {
    typed(from).is<string>();
    typed(cause).is<'none' | 'manual' | 'plan' | 'hold' | 'automatic'>();
  });
  // @ts-expect-error a level is a name
  board.plan('sale', { hints: 2 });
}

export async function tiersAddUp(): Promise<void> {
  const covered = fallback({
    tiers: [{ run: (_error, call) => Promise.resolve({ id: call.attempt }), timeout: '1s' }, { value: [] }, { value: null }],
  });
  typed(covered).is<Fallback<unknown, Item | never[] | null>>();
  typed(await pipeline([covered]).execute(() => items)).is<Item[] | Item | null>();
  const looking = pipeline([
    fallback({
      tiers: [
        { value: 0, when: (outcome: Settled<Response>) => outcome.ok },
        { value: 1, when: 'refusal' },
      ],
    }),
  ]);
  void looking.execute(() => fetch('http://localhost'));
  // @ts-expect-error the first tier's predicate looks at a Response
  void looking.execute(() => 'text');
  // @ts-expect-error an unknown word
  fallback({ tiers: [{ value: 1, when: 'rejection' }] });
}

export async function aValueIsWhatItWouldBeInPlaceOfTheResult(): Promise<void> {
  typed(await pipeline([fallback({ value: [] })]).execute(() => items)).is<Item[]>();
  typed(await pipeline([fallback({ value: { items: [], more: false } })]).execute(() => ({ items, more: true }))).is<
    { items: Item[]; more: boolean } | { items: never[]; more: boolean }
  >();
  same<Awaited<ReturnType<typeof page>>, { items: Item[]; more: boolean } | { items: never[]; more: boolean }>();
}

const page = () => pipeline([fallback({ value: { items: [], more: false } })]).execute(() => ({ items, more: true }));
export const usable: () => Promise<{ items: Item[]; more: boolean }> = page;

export function anyTypeMayBeAValue<T>(value: T, whatever: unknown): Promise<T | unknown[]> {
  void pipeline([fallback({ value: whatever })]).execute(() => items);
  return pipeline([fallback({ value })]).execute((): unknown[] => []);
}
