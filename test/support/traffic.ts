import fc from 'fast-check';
import { expect } from 'vitest';
import { type GatePolicy, type Pipeline, definePolicy, pipeline, refuse } from 'breakwater';
import { VirtualClock } from 'breakwater/testing';

/** Something happens to a limiter. `fails`: the work fails after so many ms, and what it took is given back. */
export type Command =
  | { readonly do: 'come'; readonly cost: number; readonly deadline: number | undefined; readonly fails: number | undefined }
  | { readonly do: 'try'; readonly cost: number }
  | { readonly do: 'turned away further in'; readonly cost: number }
  | { readonly do: 'abort'; readonly which: number }
  | { readonly do: 'pass'; readonly ms: number }
  | { readonly do: 'stall'; readonly ms: number };

const cost: fc.Arbitrary<number> = fc.constantFrom(0.5, 1, 1, 1, 2, 3.3);

/** Any traffic: calls with up to `deadline` ms, and quiet times of up to `pause` ms. */
export function commandsWith({ deadline, pause }: { readonly deadline: number; readonly pause: number }): fc.Arbitrary<Command[]> {
  const come = fc.record({
    do: fc.constant('come' as const),
    cost,
    deadline: fc.option(fc.integer({ min: 1, max: deadline }), { nil: undefined }),
    fails: fc.option(fc.nat(400), { nil: undefined, freq: 4 }),
  });
  return fc.array(
    fc.oneof(
      come,
      fc.record({ do: fc.constant('try' as const), cost }),
      fc.record({ do: fc.constant('turned away further in' as const), cost }),
      fc.record({ do: fc.constant('abort' as const), which: fc.nat(20) }),
      fc.record({ do: fc.constant('pass' as const), ms: fc.oneof(fc.nat(pause), fc.double({ min: 0, max: 50, noNaN: true })) }),
      fc.record({ do: fc.constant('stall' as const), ms: fc.nat(900) }),
    ),
    { minLength: 5, maxLength: 60 },
  );
}

/** Any traffic for limits of some calls per second. */
export const commands: fc.Arbitrary<Command[]> = commandsWith({ deadline: 600, pause: 300 });

/** What a call costs by its tags. */
export const tagged = ({ tags }: { readonly tags: Readonly<Record<string, unknown>> }): number => Number(tags['cost'] ?? 1);

/** A call that was let in. */
export interface Admitted {
  readonly at: number;
  readonly cost: number;
  /** Whether what it took was given back. */
  refunded: boolean;
}

/** A limiter under any traffic, watched. */
export class Traffic {
  readonly clock: VirtualClock;
  readonly admitted: Admitted[] = [];
  /** Numbers of those who asked to wait if need be, in the order in which they got in. */
  readonly order: number[] = [];
  readonly #pipeline: Pipeline;
  readonly #callers: AbortController[] = [];
  #came = 0;

  constructor(limiter: GatePolicy, clock: VirtualClock = new VirtualClock()) {
    this.clock = clock;
    const doorkeeper = definePolicy({
      kind: 'doorkeeper',
      gate: { enter: ({ tags }) => (tags['away'] === true ? refuse(new Error('away')) : 'pass'), settle() {}, cancel() {} },
    });
    this.#pipeline = pipeline([limiter, doorkeeper], { clock });
  }

  /** Lets it all happen; `after` is called after each. */
  async run(list: readonly Command[], after: () => void = () => undefined): Promise<void> {
    for (const command of list) {
      await this.step(command);
      after();
    }
    await this.finish();
  }

  /** Lets one thing happen. */
  async step(command: Command): Promise<void> {
    await this.#do(command);
    await this.clock.advance(0);
  }

  /** All who still wait give up. */
  async finish(): Promise<void> {
    for (const caller of this.#callers) caller.abort();
    await this.clock.runAll();
    expect(this.clock.pending).toBe(0);
  }

  /** Those who were let in and did not get back what they took. */
  get spent(): readonly Admitted[] {
    return this.admitted.filter(({ refunded }) => !refunded);
  }

  /** When how much was let in, whatever became of it. */
  get letIn(): readonly Pick<Admitted, 'at' | 'cost'>[] {
    return this.admitted.map(({ at, cost }) => ({ at, cost }));
  }

  async #do(command: Command): Promise<void> {
    switch (command.do) {
      case 'come':
        this.#come(command);
        break;
      case 'try': {
        const answer = this.#pipeline.tryAcquire({ tags: { cost: command.cost } });
        if (answer.admitted) {
          this.#note(command.cost);
          answer.success();
        }
        break;
      }
      case 'turned away further in':
        expect(this.#pipeline.tryAcquire({ tags: { cost: command.cost, away: true } }).admitted).toBe(false);
        break;
      case 'abort':
        this.#callers[command.which]?.abort();
        break;
      case 'pass':
        await this.clock.advance(command.ms);
        break;
      case 'stall':
        await this.clock.stall(command.ms);
    }
  }

  #come({ cost, deadline, fails }: Extract<Command, { do: 'come' }>): void {
    const number = this.#came++;
    const caller = new AbortController();
    this.#callers.push(caller);
    let call: Admitted | undefined;
    const work = (): unknown => {
      this.order.push(number);
      call = this.#note(cost);
      if (fails === undefined) return 'done';
      return new Promise((_, reject) => this.clock.setTimeout(() => reject(new Error('no')), fails));
    };
    const ends = deadline === undefined ? {} : { deadline: this.clock.now() + deadline };
    void this.#pipeline.executeOutcome(work, { signal: caller.signal, tags: { cost }, ...ends }).then(({ ok }) => {
      if (call !== undefined) call.refunded = !ok && !caller.signal.aborted;
    });
  }

  #note(cost: number): Admitted {
    const call = { at: this.clock.now(), cost, refunded: false };
    this.admitted.push(call);
    return call;
  }
}
