/** A share of all slots that is kept for some calls. */
export interface Partition {
  readonly name: string;
  /** What of all slots is its own, 0 to 1. */
  readonly share: number;
  /** The same in slots, as the limit stands. */
  limit: number;
  /** Slots that its calls hold, lent ones included. */
  taken: number;
  /** Its calls that wait. */
  waiting: number;
}

/** What one call asks for, where calls differ. */
export interface Wants {
  /** Slots it takes. */
  readonly weight: number;
  /** The higher, the more it matters. */
  readonly rank: number;
  /** Whose call it is; those of one key wait in one line. */
  readonly key: string | undefined;
  readonly partition: Partition | undefined;
}

/** What a line needs to know of those who stand in it. */
export interface Standing {
  /** When it came, ms. */
  readonly since: number;
  readonly wants: Wants | undefined;
}

/** What keeps entries in some order and says whose turn it is. */
export interface Line<Entry> {
  readonly size: number;
  /** The entry that has stood here longest. */
  readonly oldest: Entry | undefined;
  /** The entry whose turn it is. It stays the same until somebody comes or goes. */
  readonly next: Entry | undefined;
  /** Of those who matter least the one that came last; nobody, where all matter alike. */
  readonly least: Entry | undefined;
  push(entry: Entry): void;
  /** Takes out the entry whose turn it is, and has served it. */
  shift(): Entry | undefined;
  /** Takes out an entry that gives up its place; false if it does not stand here. */
  remove(entry: Entry): boolean;
  /** How many would have their turn before somebody who came `now` and wants this, if nobody else came. */
  ahead(wants: Wants, now: number): number;
  /** Whether `test` holds for one of the entries. */
  some(test: (entry: Entry) => boolean): boolean;
}
