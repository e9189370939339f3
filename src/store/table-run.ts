/** Runs of other engines over all rows of a table: what they are called, and what comes of them. */

/** A run over all rows of a table, which have their places in the log at (topic, run). */
export interface TableRun {
  readonly stream: string;
  readonly consumer: string;
  readonly topic: string;
  readonly run: number;
}

/** What a sealed run came to; `newest` in milliseconds, null: no row could be used. */
export interface RunTotal {
  readonly read: number;
  readonly written: number;
  readonly deadLetters: number;
  readonly newest: number | null;
}

/** Rows that an engine could not use, of one source, with the clock that they were judged by. */
export interface UnusableRows {
  readonly source: string;
  readonly topic: string;
  readonly partition: number;
  readonly now: number;
  readonly rows: readonly { readonly offset: bigint; readonly payload: Buffer }[];
}
