/**
 * What the compiler knows about a pipeline. Nothing here runs: `npm run types` compiles it, and an error that is expected and does not come
 * fails as much as one that comes unexpected.
 */

import { type Pipeline, type Quota, type Settled, fallback, pipeline, retry, timeout } from 'breakwater';
import { same, typed } from './equal.ts';

interface Item {
  readonly id: number;
}

declare const items: Item[];
declare const thenable: PromiseLike<Item>;
declare const either: Item | Promise<Item>;
const item = (): Promise<Item> => Promise.resolve({ id: 1 });

export async function theResultIsThatOfTheWork(): Promise<void> {
  const plain = pipeline([retry(), timeout({ after: '1s' })]);
  typed(await plain.execute(item)).is<Item>();
  typed(await plain.execute(() => 7)).is<number>();
  typed(await plain.execute(() => thenable)).is<Item>();
  typed(await plain.execute(() => either)).is<Item>();
  typed(await plain.execute(() => null)).is<null>();
  typed(
    plain.execute(() => {
      throw new Error('always');
    }),
  ).is<Promise<never>>();
  typed(await pipeline([]).execute(item)).is<Item>();
}

export async function aFallbackWidensTheResult(): Promise<void> {
  typed(await pipeline([fallback({ value: [] }), retry()]).execute(() => items)).is<Item[]>();
  typed(await pipeline([fallback({ value: 'none' })]).execute(item)).is<Item | 'none'>();
  typed(await pipeline([fallback({ run: () => Promise.resolve(0n) })]).execute(item)).is<Item | bigint>();
  typed(await pipeline([fallback({ value: null }), fallback({ value: 0 })]).execute(item)).is<Item | null | 0>();
  const outcome = await pipeline([fallback({ value: null })]).executeOutcome(item);
  typed(outcome).is<Settled<Item | null>>();
  if (outcome.ok) typed(outcome.value).is<Item | null>();
  else typed(outcome.error).is<unknown>();
}

export function predicatesSeeTheResult(): void {
  const http = pipeline([
    retry<Response>({
      when: (outcome) => {
        if (outcome.ok) typed(outcome.value).is<Response>();
        return !outcome.ok || outcome.value.status >= 500;
      },
    }),
  ]);
  void http.execute(() => fetch('http://localhost'));
  // @ts-expect-error the predicate looks at a Response, so the work has to answer with one
  void http.execute(() => 'not a response');
  // @ts-expect-error likewise through wrap
  http.wrap((id: number) => id);
  const inferred = pipeline([fallback({ value: 0, when: (outcome: Settled<Response>) => !outcome.ok })]);
  void inferred.execute(() => fetch('http://localhost'));
  // @ts-expect-error the fallback's predicate looks at a Response
  void inferred.execute(() => 7);
}

export function predicatesOfSeveralPoliciesAllHold(): void {
  const both = pipeline([
    retry<{ a: number }>({ when: (o) => o.ok && o.value.a > 0 }),
    retry<{ b: string }>({ when: (o) => o.ok && o.value.b === '' }),
  ]);
  void both.execute(() => ({ a: 1, b: 'x' }));
  // @ts-expect-error the outer predicate looks at `a`
  void both.execute(() => ({ b: 'x' }));
  // @ts-expect-error the inner predicate looks at `b`
  void both.execute(() => ({ a: 1 }));
}

export function aWrongOrderIsAnError(): void {
  pipeline([fallback({ value: 'x' }), retry<Response>({ when: () => false })]);
  // @ts-expect-error the retry's predicate would meet the string
  pipeline([retry<Response>({ when: () => false }), fallback({ value: 'x' })]);
  // @ts-expect-error also past policies that look at nothing
  pipeline([retry<Response>({ when: () => false }), timeout({ after: 1 }), fallback({ value: 'x' })]);
  // @ts-expect-error also out of a nested pipeline
  pipeline([retry<Response>({ when: () => false }), pipeline([fallback({ value: 'x' })])]);
  pipeline([retry<string>({ when: () => false }), fallback({ value: 'x' })]);
}

export async function wrapKeepsParametersAndThis(): Promise<void> {
  const guarded = pipeline([fallback({ value: null })]).wrap(function (this: { base: string }, id: number, ...tags: string[]) {
    return `${this.base}/${id}${tags.join('')}`;
  });
  same<Parameters<typeof guarded>, [id: number, ...tags: string[]]>();
  same<ThisParameterType<typeof guarded>, { base: string }>();
  same<ReturnType<typeof guarded>, Promise<string | null>>();
  // @ts-expect-error wrong argument
  void guarded.call({ base: '' }, 'one');
  // @ts-expect-error wrong `this`
  void guarded.call({}, 1);
  const keyed = pipeline([]).wrap((user: { readonly id: string }, n: number) => user.id.length + n, { key: (user) => user.id });
  typed(await keyed({ id: 'a' }, 1)).is<number>();
  // @ts-expect-error a key is a string
  pipeline([]).wrap((n: number) => n, { key: (n) => n });
}

export async function pipelinesNest(): Promise<void> {
  const inner = pipeline([fallback({ value: 0 }), retry<Item | 0>({ when: () => false })], { name: 'inner' });
  const outer = pipeline([fallback({ value: 'x' }), inner, timeout({ after: '1s' })]);
  typed(await outer.execute(item)).is<Item | 0 | 'x'>();
  // @ts-expect-error the inner predicate still looks at the result
  void outer.execute(() => true);
}

export async function eightPoliciesInfer(): Promise<void> {
  const eight = pipeline([
    fallback({ value: 'a' }),
    timeout({ after: '3s' }),
    retry(),
    fallback({ value: 'b' }),
    timeout({ after: '2s' }),
    retry<Item | 'c'>({ when: () => false }),
    fallback({ value: 'c' }),
    timeout({ after: '1s' }),
  ]);
  typed(await eight.execute(item)).is<Item | 'a' | 'b' | 'c'>();
}

export async function theCallTellsWhatItIs(): Promise<void> {
  await pipeline([]).execute((call) => {
    typed(call.signal).is<AbortSignal>();
    typed(call.attempt).is<number>();
    typed(call.key).is<string | undefined>();
    typed(call.remaining()).is<number>();
    typed(call.cost).is<number>();
    // @ts-expect-error a call cannot be moved to another attempt
    call.attempt = 2;
  });
}

export function quotasAreReadOnly(): void {
  const p = pipeline([]);
  p.tryAcquire({ cost: 2.5 });
  // @ts-expect-error a cost is a number
  p.tryAcquire({ cost: '2' });
  typed(p.quotas({ key: 'ada' })).is<readonly Quota[]>();
  typed(p.quotas().map(({ remaining }) => remaining)).is<number[]>();
  // @ts-expect-error a key is a string
  p.quotas({ key: 7 });
}

export function anyPipelineCanBeHeld(): void {
  const held: Pipeline[] = [pipeline([]), pipeline([retry()]), pipeline([fallback({ value: 1 }), timeout({ after: 1 })])];
  for (const each of held) typed(each.snapshot().active).is<number>();
}
