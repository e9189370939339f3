/** Runs of other engines over all rows of a table: their names and results. */

/**
 * A run over all rows of a table. The topic and the run's number (as partition) are its rows' position in the event
 * log.
 */
export interface TableRun {
  readonly stream: string;
  readonly consumer: string;
  readonly topic: string;
  readonly run: number;
}

/** The counts of a sealed run. `newest` is in milliseconds since 1970; null if no row was usable. */
export interface RunTotal {
  readonly read: number;
  readonly written: number;
  readonly deadLetters: number;
  readonly newest: number | null;
}

/** Unusable rows of one source, and the time (milliseconds since 1970) that they were checked against. */
export interface UnusableRows {
  readonly source: string;
  readonly topic: string;
  readonly partition: number;
  readonly now: number;
  readonly rows: readonly { readonly offset: bigint; readonly payload: Buffer }[];
}
