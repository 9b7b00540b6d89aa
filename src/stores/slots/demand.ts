import type { Partition, Wants } from '../../algorithms/lines/line.ts';
import type { Call } from '../../core/call.ts';
import { show } from '../../core/options.ts';
import type { Scope } from '../../core/scope.ts';
import type { QueueSettings } from './queue-options.ts';

/** Partitions by their names. */
interface NamedPartitions {
  of(name: string | undefined): Partition;
}

/** What calls ask for, where they are not all alike: the answers of the user's functions. */
export class Demand {
  readonly #settings: QueueSettings;
  readonly #partitions: NamedPartitions | undefined;

  constructor(settings: QueueSettings, partitions: NamedPartitions | undefined) {
    this.#settings = settings;
    this.#partitions = partitions;
  }

  /** Whether calls differ at all. */
  static differs({ weight, priority, fairBy, shed, partitions }: QueueSettings): boolean {
    return weight !== 1 || priority !== false || fairBy !== undefined || shed || partitions !== undefined;
  }

  of(call: Call, scope: Scope): Wants {
    const { weight, fairBy, partitionBy } = this.#settings;
    return new Asked(
      typeof weight === 'number' ? weight : scope.ask('weight', 1, () => whole(weight(call))),
      fairBy === undefined ? undefined : scope.ask('fairBy', undefined, () => fairBy(call)),
      this.#partitions?.of(partitionBy === undefined ? undefined : scope.ask('partitionBy', undefined, () => partitionBy(call))),
      () => this.#rankOf(call, scope),
    );
  }

  #rankOf(call: Call, scope: Scope): number {
    const { priority } = this.#settings;
    if (priority === false) return 0;
    return priority === true ? call.rank : scope.ask('priority', 0, () => ranked(priority(call)));
  }
}

/** What one call asks for. Its rank is worked out when somebody wants to know, which mostly is when it has to wait. */
class Asked implements Wants {
  readonly weight: number;
  readonly key: string | undefined;
  readonly partition: Partition | undefined;
  #rank: number | (() => number);

  constructor(weight: number, key: string | undefined, partition: Partition | undefined, rank: () => number) {
    this.weight = weight;
    this.key = key;
    this.partition = partition;
    this.#rank = rank;
  }

  get rank(): number {
    if (typeof this.#rank === 'function') this.#rank = this.#rank();
    return this.#rank;
  }
}

function whole(weight: unknown): number {
  if (Number.isSafeInteger(weight) && (weight as number) >= 1) return weight as number;
  throw new TypeError(`weight: expected a function that answers with a whole number of at least 1, got ${show(weight)}`);
}

function ranked(rank: unknown): number {
  if (Number.isFinite(rank)) return rank as number;
  throw new TypeError(`priority: expected a function that answers with a number, got ${show(rank)}`);
}
