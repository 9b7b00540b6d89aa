import type { Call } from './call.ts';
import type { Level, Sink } from './events.ts';
import type { Scope } from './scope.ts';

/**
 * The pipelines that a shared policy is mounted in, for what happens to the policy itself and not to one call. They are held weakly: pipelines
 * that are made per request around one policy can go, and take their listeners with them.
 */
export class Audience {
  /** Mostly there is one, and nothing else is needed. */
  #first: WeakRef<Scope> | undefined = undefined;
  #others: WeakRef<Scope>[] | undefined = undefined;
  #known: WeakSet<Sink> | undefined = undefined;
  /** Dead references are swept when so many scopes have gathered. */
  #sweepAt = 64;

  /** Adds the pipeline of this scope, once. */
  add(scope: Scope): void {
    const first = this.#first?.deref();
    if (first?.sink === scope.sink) return;
    if (this.#first === undefined) {
      this.#first = scope.reference;
      return;
    }
    const known = (this.#known ??= new WeakSet());
    if (known.has(scope.sink)) return;
    known.add(scope.sink);
    let others = this.#others ?? [];
    if (others.length >= this.#sweepAt) {
      others = others.filter((reference) => reference.deref() !== undefined);
      this.#sweepAt = Math.max(64, 2 * others.length);
    }
    others.push(scope.reference);
    this.#others = others;
  }

  /** Sends an event out in every pipeline where somebody listens; to each once, also if it is mounted by itself and inside others. */
  emit(type: string, level: Level, call: Call | undefined, fields: object): void {
    const told = new Set<Sink>();
    for (const reference of this.#all()) {
      const scope = reference.deref();
      if (scope?.listening !== true) continue;
      const event = scope.event(type, level, call, fields);
      for (const leaf of scope.sink.leaves()) {
        if (told.has(leaf)) continue;
        told.add(leaf);
        leaf.emit(event);
      }
    }
  }

  /** Reports a user's callback that threw, in the first pipeline that is left. */
  report(callback: string, error: unknown): void {
    for (const reference of this.#all()) {
      const scope = reference.deref();
      if (scope === undefined) continue;
      scope.report(callback, error);
      return;
    }
  }

  #all(): readonly WeakRef<Scope>[] {
    return this.#first === undefined ? [] : [this.#first, ...(this.#others ?? [])];
  }
}
