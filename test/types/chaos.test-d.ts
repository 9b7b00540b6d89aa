/** What the compiler knows about chaos. Nothing here runs: `npm run types` compiles it. */

import { type Chaos, chaos, pipeline, retry } from 'breakwater';
import { typed } from './equal.ts';

interface Item {
  readonly id: number;
}
const item = (): Promise<Item> => Promise.resolve({ id: 1 });

export async function anInjectedOutcomeWidensTheResult(): Promise<void> {
  typed(await pipeline([chaos({ rate: 0.1, fault: new Error('boom') })]).execute(item)).is<Item>();
  typed(await pipeline([chaos()]).execute(item)).is<Item>();
  typed(await pipeline([chaos({ outcome: 'other' })]).execute(item)).is<Item | 'other'>();
  typed(await pipeline([chaos({ outcome: () => null })]).execute(item)).is<Item | null>();
  typed(await pipeline([chaos({ outcome: (call, u) => Promise.resolve(u + call.attempt) })]).execute(item)).is<Item | number>();
  typed(chaos({ latency: ['1s', '2s'] })).is<Chaos>();
}

export function whatStandsOutsideMustKnowIt(): void {
  pipeline([retry<string>({ when: () => false }), chaos({ outcome: 'other' })]);
  // @ts-expect-error the predicate would meet the number
  pipeline([retry<string>({ when: () => false }), chaos({ outcome: 7 })]);
  // @ts-expect-error there is no such injection
  chaos({ schedule: [{ inject: 'noise' }] });
  // @ts-expect-error there is no such refusal
  chaos({ reject: 'busy' });
}
