/**
 * Port: reads all rows of a source that are new, and has them written into all stores.
 *
 * Invariants that every adapter holds (test/contract/batch-engine.test.ts)
 * 1. The same rows give the same values, whichever engine reads them; a row that cannot be used becomes a dead letter.
 * 2. A run that is begun again under its number, after it died anywhere, writes nothing twice.
 * 3. Rows at or before `since` are passed over.
 */
import type { JobProgress } from '../store/job-store.js';
import type { SourceContract } from './source-contract.js';

export interface BatchRun {
  readonly project: string;
  /** Of a source with `batch`. */
  readonly contract: SourceContract;
  /** Under which its rows have their places in history. */
  readonly run: number;
  /** Greatest event time that earlier runs have taken in, milliseconds since 1970; null: none. */
  readonly since: number | null;
  /** Aborted: `materialize` throws, and soon. */
  readonly signal: AbortSignal;
  report(progress: JobProgress): void;
}

export interface BatchTotal {
  /** Rows that were read, that were new, and that could not be used. */
  readonly read: number;
  readonly written: number;
  readonly deadLetters: number;
  /** Greatest event time, milliseconds; null: no row could be used. */
  readonly newest: number | null;
}

export interface BatchEngine {
  /** Throws BATCH_CHANGED, BAD_REQUEST, and what reading throws. */
  materialize(run: BatchRun): Promise<BatchTotal>;
}
