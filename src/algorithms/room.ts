/** What is kept in the order of its use; looking something up makes it the latest used. */
export interface Recent<Id, Value> {
  /** Ids, the one not used for longest first. */
  rkeys(): Iterable<Id>;
  /** Looks something up without using it. */
  peek(id: Id): Value | undefined;
  get(id: Id): Value | undefined;
  delete(id: Id): boolean;
}

/** How many entries are looked at to make room, and how many in passing while there is room. */
const SEARCH = 32;
const GLANCE = 4;

/**
 * Lets go of what may go: in passing, idle entries; if there must be room, one that is not idle. What may not go is put to the end of the order, so
 * that the next time others are looked at. The work is bounded, whatever the number of entries: the "second chance" of Corbató, "A Paging Experiment
 * with the Multics System", 1968.
 */
export function makeRoom<Id, Value>(
  recent: Recent<Id, Value>,
  needed: boolean,
  idle: (value: Value) => boolean,
  mayGo: (value: Value) => boolean,
): void {
  const gone: Id[] = [];
  const busy: Id[] = [];
  for (const id of recent.rkeys()) {
    const value = recent.peek(id) as Value;
    if (!needed && !idle(value)) break;
    (mayGo(value) ? gone : busy).push(id);
    if (needed ? gone.length > 0 || busy.length === SEARCH : gone.length + busy.length === GLANCE) break;
  }
  for (const id of gone) recent.delete(id);
  for (const id of busy) recent.get(id);
}
