/** One request that holds its idempotency key: from the time it took it until its outcome is known. */

import type { ServerResponse } from 'node:http';
import { Alarm } from '../../core/alarm.ts';
import type { IdempotencySettings } from './options.ts';
import type { Eventually, IdempotencyStore, StoredOutcome } from './store.ts';
import { ClientGoneError } from '../admission/inbound.ts';
import { isBodiless } from '../recording/describing-fields.ts';
import { interruptionOf, isGone } from '../recording/interruption.ts';
import { type Recorded, isWhole, lasting } from '../recording/recorded.ts';
import { record } from '../recording/recording.ts';
import { recordWeb } from '../recording/web-recording.ts';

/** What attempts at one route have in common. */
export interface Attempting extends Omit<IdempotencySettings<never>, 'scope' | 'fingerprint' | 'store'> {
  readonly store: IdempotencyStore;
  readonly renewals: Renewals;
}

/** Of which key and of which request an attempt is. */
export interface Holding {
  readonly key: string;
  readonly fingerprint: string;
  readonly token: string;
  /** As the framework shows it: guards leave their visits there. */
  readonly request: object;
}

/**
 * A request that is to be carried out. Whoever lets its handler run says what the handler's answer goes out on, before it runs (`watch`) or after (`watchWeb`), or that there
 * will be none (`abandon`).
 */
export class Attempt {
  readonly #terms: Attempting;
  readonly #holding: Holding;
  #settled = false;

  constructor(terms: Attempting, holding: Holding) {
    this.#terms = terms;
    this.#holding = holding;
    terms.renewals.add(this);
  }

  /**
   * The answer is going to be sent on this response. It counts also if the client does not wait for it.
   *
   * @param before - fields that others than the handler have set, where the response does not know them yet (Fastify's `reply.getHeaders()`)
   */
  watch(response: ServerResponse, before: object = response.getHeaders()): void {
    record(response, this.#terms.maxBytes, (recorded) => this.#settle(recorded, isGone(response)), before);
    response.once('close', () => this.left());
  }

  /**
   * This is the answer; what comes back is to be sent in its place. The handler is through: all that is still waited for is that the body is read, for one lease, by the
   * client, or here if that has left.
   */
  watchWeb(response: Response, before: Headers = new Headers()): Response {
    this.left();
    const { clock, lease, maxBytes } = this.#terms;
    return recordWeb(response, maxBytes, (recorded) => this.#settle(recorded), before, { clock, ms: lease });
  }

  /** The client has left. If the handler comes to an end within one more lease, what it answers counts; after that the key is free. */
  left(): void {
    this.#terms.renewals.remove(this);
  }

  /** There is no answer: the handler has failed, or was not called. */
  abandon(): void {
    this.#settle(undefined);
  }

  /** @internal */
  renew(): void {
    const { store, lease } = this.#terms;
    const { key, token } = this.#holding;
    this.#tell(() => store.renew(key, token, lease));
  }

  #settle(recorded: Recorded | undefined, gone = false): void {
    if (this.#settled) return;
    this.#settled = true;
    const { store, renewals, ttl } = this.#terms;
    const { key, token, fingerprint } = this.#holding;
    renewals.remove(this);
    this.#tell(() => {
      if (recorded === undefined || !this.#isOutcome(recorded, gone)) return store.abandon(key, token);
      return store.complete(key, token, fingerprint, this.#outcome(recorded), ttl);
    });
  }

  #isOutcome(recorded: Recorded, gone: boolean): boolean {
    // A lesser answer in place of a refusal says nothing of how the request went.
    if ('x-degraded' in recorded.headers || !this.#terms.storeWhen(recorded.status)) return false;
    const interruption = interruptionOf(this.#holding.request);
    if (interruption === undefined && !gone) return true;
    // A handler that was told to stop may have ended its answer half-way. Where only the client has left, many go on: what they say counts, if it is complete.
    const stopped = interruption !== undefined && !(interruption.reason instanceof ClientGoneError);
    return !stopped && (isBodiless(recorded.status) || isWhole(recorded));
  }

  #outcome({ status, own, body }: Recorded): StoredOutcome {
    const without = ['content-length', 'date', 'idempotency-replayed', ...(this.#terms.setCookie ? [] : ['set-cookie'])];
    return { status, headers: body === undefined ? {} : lasting(own, without), body };
  }

  /** Nobody waits for what the store does now; what goes wrong there is nothing that the request could be told. */
  #tell(act: () => Eventually<void>): void {
    void (async () => {
      try {
        await act();
      } catch (error) {
        this.#terms.onError?.(error);
      }
    })().catch(() => undefined);
  }
}

/** Renews what is held, at half of the lease. One timer for all: the lease is the same, so they are due in the order in which they came. */
export class Renewals {
  readonly #terms: Pick<IdempotencySettings<never>, 'clock' | 'lease'>;
  readonly #due = new Map<Attempt, number>();
  readonly #alarm: Alarm;

  constructor(terms: Pick<IdempotencySettings<never>, 'clock' | 'lease'>) {
    this.#terms = terms;
    this.#alarm = new Alarm(terms.clock, (now) => this.#ring(now), true);
  }

  add(attempt: Attempt): void {
    this.#put(attempt, this.#terms.clock.now());
  }

  remove(attempt: Attempt): void {
    if (this.#due.delete(attempt) && this.#due.size === 0) this.#alarm.clear();
  }

  #put(attempt: Attempt, now: number): void {
    const due = now + this.#terms.lease / 2;
    this.#due.set(attempt, due);
    this.#alarm.set(due, now);
  }

  #ring(now: number): void {
    for (const [attempt, due] of this.#due) {
      if (due > now) {
        this.#alarm.set(due, now);
        return;
      }
      this.#due.delete(attempt);
      this.#put(attempt, now);
      attempt.renew();
    }
  }
}
