/**
 * Port: reads all new rows of a source and writes them to all stores.
 *
 * Invariants that every adapter holds (test/contract/batch-engine.test.ts)
 * 1. The same rows give the same values, whichever engine reads them. An unusable row becomes a dead letter.
 * 2. A run that died at any point and is started again under its number writes nothing twice.
 * 3. Rows at or before `since` are skipped.
 */
import type { JobProgress } from '../store/job-store.js';
import type { SourceContract } from './source-contract.js';

/** One run of a batch source. */
export interface BatchRun {
  readonly project: string;
  /** The contract of a source with `batch`. */
  readonly contract: SourceContract;
  /** The number of the run, part of its rows' positions in history. */
  readonly run: number;
  /** Greatest event time that earlier runs have written, in milliseconds since 1970; null if there is none. */
  readonly since: number | null;
  /** When it is aborted, `materialize` throws soon. */
  readonly signal: AbortSignal;
  report(progress: JobProgress): void;
}

/** The counts of a finished run. */
export interface BatchTotal {
  /** Rows that were read, that were new, and that became dead letters. */
  readonly read: number;
  readonly written: number;
  readonly deadLetters: number;
  /** Greatest event time, in milliseconds since 1970; null if no row was usable. */
  readonly newest: number | null;
}

/** Reads batch sources. */
export interface BatchEngine {
  /** Executes a run. Throws BATCH_CHANGED, BAD_REQUEST, and errors of reading. */
  materialize(run: BatchRun): Promise<BatchTotal>;
}
