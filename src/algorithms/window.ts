/** What has happened lately, as counts: the contract that all kinds of windows keep. Writing costs a few additions, and allocates nothing. */

/** Outcomes counted together. The fields are plain numbers so that they can be read on every call. */
export interface Window {
  /** Judged calls, that is successes and failures. */
  readonly calls: number;
  readonly failures: number;
  /** Slow calls, however they ended. */
  readonly slow: number;
  /** Calls that were slow and failed. */
  readonly slowFailures: number;
  /** Calls that count as neither success nor failure. */
  readonly ignored: number;
  /** Time that the judged calls took, ms. */
  readonly totalMs: number;
  /** Counts a judged call that ended at `now` after `ms`. */
  record(failed: boolean, slow: boolean, ms: number, now: number): void;
  /** Counts a call that is to be ignored. */
  ignore(now: number): void;
  /** Forgets what is too old at `now`. To be called before reading; writing does it by itself. */
  expire(now: number): void;
  /** Forgets everything. */
  clear(): void;
  /** What it holds, as plain data; times are ages at `now`. */
  save(now: number): WindowRows;
  /** Fills an empty window with rows that one of the same settings saved `elapsed` ms before `now`; false if they are none. */
  load(rows: WindowRows, now: number, elapsed: number): boolean;
}

/** What a window holds, row by row. What the numbers mean is the window's own affair. */
export type WindowRows = readonly (readonly number[])[];

/** Whether all rows hold so many numbers, none of them negative. */
export function areRows(rows: WindowRows, length: number): boolean {
  return rows.every((row) => row.length === length && row.every((value) => Number.isFinite(value) && value >= 0));
}
