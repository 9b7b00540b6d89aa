/**
 * Requests that are carried out once, however often they are sent: the field `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07). Knows no framework: an
 * adapter shows it the request, and does what it decides.
 */

import { createHash } from 'node:crypto';
import { StoreError } from '../../core/errors.ts';
import { readOptions } from '../../core/options.ts';
import { IDEMPOTENCY_KEY_FIELD, readIdempotencyKey } from '../../fields/idempotency-key.ts';
import { errorOf } from '../admission/thrown.ts';
import { Attempt, type Attempting, type Holding, Renewals } from './attempt.ts';
import { type IdempotencyOptions, type IdempotencySettings, idempotencyFields } from './options.ts';
import { malformedKey, missingKey, otherRequest, replayOf, stillRunning, storeUnavailable } from './replies.ts';
import { type Begun, memoryIdempotencyStore } from './store.ts';
import type { Reply } from '../recording/reply.ts';
import { type RequestHead, credentialsOf, fieldOf, placeOf } from '../recording/request-head.ts';

/** What is to be done with a request. */
export type Decision =
  /** Let it go on as if nobody had looked at it. */
  | { readonly kind: 'pass' }
  /** Send this; its handler must not run. */
  | { readonly kind: 'answer'; readonly reply: Reply }
  /** Let its handler run, and show the attempt what it answers. */
  | { readonly kind: 'run'; readonly attempt: Attempt };

const pass: Decision = { kind: 'pass' };

/**
 * Decides on requests by their keys.
 *
 * @typeParam Req - the request as the framework shows it to the user's functions; one object for one request
 */
export class Idempotency<Req extends object> {
  readonly #settings: IdempotencySettings<Req>;
  readonly #terms: Attempting;
  /** Requests that were decided on: one that comes by again would find its own key taken. */
  readonly #known = new WeakSet<Req>();

  /** @throws OptionsError if an option is wrong */
  constructor(options: IdempotencyOptions<Req>) {
    const settings = readOptions('idempotency', idempotencyFields, options) as IdempotencySettings<Req>;
    this.#settings = settings;
    const store = settings.store ?? memoryIdempotencyStore({ clock: settings.clock });
    this.#terms = { ...settings, store, renewals: new Renewals(settings) };
  }

  /** Whether requests of this method are looked at; of others nothing is to be asked. */
  concerns(method: string): boolean {
    return this.#settings.methods.includes(method);
  }

  /** Decides on a request. Rejects only with what the user's functions throw, and always with an error: to frameworks anything else may mean to go on. */
  async decide(req: Req, head: RequestHead): Promise<Decision> {
    if (!this.concerns(head.method) || this.#known.has(req)) return pass;
    this.#known.add(req);
    const field = fieldOf(head, IDEMPOTENCY_KEY_FIELD);
    if (field === undefined) return this.#settings.required ? { kind: 'answer', reply: missingKey } : pass;
    const given = readIdempotencyKey(field);
    if (given === undefined) return { kind: 'answer', reply: malformedKey };
    let asked: Omit<Holding, 'token'>;
    try {
      asked = { key: this.#scoped(req, head, given), fingerprint: await this.#fingerprint(req, head), request: req };
    } catch (thrown) {
      throw errorOf(thrown);
    }
    try {
      return this.#decided(await this.#begin(asked.key, asked.fingerprint), asked);
    } catch (error) {
      this.#report(error);
      return this.#settings.onStoreError === 'open' ? pass : { kind: 'answer', reply: storeUnavailable };
    }
  }

  #decided(begun: Begun, asked: Omit<Holding, 'token'>): Decision {
    switch (begun.state) {
      case 'new':
        return { kind: 'run', attempt: new Attempt(this.#terms, { ...asked, token: begun.token }) };
      case 'done':
        return { kind: 'answer', reply: replayOf(begun.outcome) };
      case 'running':
        return { kind: 'answer', reply: stillRunning };
      case 'mismatch':
        return { kind: 'answer', reply: otherRequest };
    }
  }

  /** The key as the store sees it: no two scopes share one, its size is always the same, and credentials cannot be read from it. */
  #scoped(req: Req, head: RequestHead, key: string): string {
    const scope = this.#settings.scope?.(req);
    const path = head.url.split('?', 1)[0] as string;
    return digest(scope === undefined ? ['who', ...credentialsOf(head), head.authority, path, key] : ['scope', scope, key]);
  }

  async #fingerprint(req: Req, head: RequestHead): Promise<string> {
    const { fingerprint } = this.#settings;
    // The boundary of a form is another one each time it is sent.
    const type = fieldOf(head, 'content-type')?.split(';', 1)[0]?.trim().toLowerCase();
    const rest = fingerprint === undefined ? [type, fieldOf(head, 'content-length')] : [await fingerprint(req)];
    return digest([head.method, placeOf(head), ...rest]);
  }

  /** Asks the store, and waits no longer than it may take. What it says too late is given back. */
  #begin(key: string, fingerprint: string): Promise<Begun> {
    const { store, clock, lease, storeTimeout } = this.#terms;
    return new Promise((resolve, reject) => {
      let late = false;
      const timer = clock.setTimeout(() => {
        late = true;
        reject(new StoreError(`The idempotency store has not answered within ${storeTimeout} ms`));
      }, storeTimeout);
      const asking = async (): Promise<void> => {
        try {
          const begun = await store.begin(key, fingerprint, lease);
          if (late && begun.state === 'new') await store.abandon(key, begun.token);
          else resolve(begun);
        } catch (error) {
          if (late) this.#report(error);
          else reject(error);
        } finally {
          clock.clearTimeout(timer);
        }
      };
      void asking();
    });
  }

  #report(error: unknown): void {
    try {
      this.#settings.onError?.(error);
    } catch {
      // It is told, and asked nothing.
    }
  }
}

/** Hexadecimal digits that stand for these texts. */
function digest(texts: readonly (string | undefined)[]): string {
  return createHash('sha256').update(JSON.stringify(texts)).digest('hex');
}
