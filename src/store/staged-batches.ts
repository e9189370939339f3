/**
 * Port: results of other engines, staged until they are merged into the offline store.
 *
 * Invariants that every adapter holds (test/contract/staged-batches.test.ts)
 * 1. Only the run that began last can seal. A batch is merged once, as a whole or not at all, in the order of sealing.
 * 2. The positions of a stream's views advance exactly when a batch is sealed. A new run continues from them.
 * 3. `publish` returns an entity that a merged batch has touched until the callback for it has resolved.
 * 4. A run over a table is sealed once, with all of its batches. The transaction that merges a batch also logs its rows
 *    and writes its dead letters. Sealing is refused if a view of the source began with newer definitions.
 */
import type { EntityKey } from '../definition/entity-key.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { NewDeadLetter } from './offline-store.js';
import type { RunTotal, TableRun, UnusableRows } from './table-run.js';

/** A run over a stream that is about to begin. */
export interface RunRequest {
  readonly stream: string;
  readonly source: string;
  readonly topic: string;
  readonly revision: number;
  readonly views: readonly ViewVersion[];
}

/** A run that has begun. `epoch` numbers the runs of a stream. */
export interface BegunRun {
  readonly epoch: number;
  /** For each view, by history table: the next offset of each partition. */
  readonly positions: ReadonlyMap<string, Readonly<Record<string, string>>>;
}

/** The counts of a merged batch. */
export interface MergedBatch {
  /** Number of rows, usable or not. */
  readonly size: number;
  readonly events: number;
  /** Greatest event time, in milliseconds since 1970; null if there is none. */
  readonly newest: number | null;
}

/** Stages, seals and merges the batches of runs. */
export interface StagedBatches {
  /**
   * Begins a run of a stream. Earlier runs cannot seal any more. Throws DEFINITIONS_STALE if another engine does not
   * own all of the views.
   */
  begin(request: RunRequest): Promise<BegunRun>;
  /** Begins a run over a table. Throws BATCH_CHANGED if the built-in engine has written rows under its number. */
  beginRun(run: TableRun): Promise<{ readonly epoch: number }>;
  /** Returns the counts of a sealed run, or null if the run is not sealed. */
  sealedTotal(stream: string, run: number): Promise<RunTotal | null>;
  /**
   * Deletes unsealed batches of all runs before the last one. A dying run may have staged some after its successor
   * began.
   */
  sweep(stream: string): Promise<void>;
  /** Prevents all runs of a stream from sealing. */
  fence(stream: string): Promise<void>;
  /** Returns whether the run asks if its definitions are the newest. */
  isAsking(stream: string, epoch: number): Promise<boolean>;
  /** Confirms to the run that its definitions are the newest. */
  confirm(stream: string, epoch: number): Promise<void>;
  /**
   * Merges the oldest sealed batch of a stream; returns null if there is none. Rows of views that are not in `views`
   * are dropped. `bury` turns unusable rows into dead letters before they are written.
   */
  merge(
    stream: string,
    views: readonly ViewVersion[],
    bury: (unusable: UnusableRows) => Promise<readonly NewDeadLetter[]>,
  ): Promise<MergedBatch | null>;
  /**
   * Passes the entities that merged batches of a stream have touched to `take`, some at a time. Returns how many there
   * were.
   */
  publish(
    stream: string,
    views: readonly ViewVersion[],
    take: (view: ViewVersion, keys: readonly EntityKey[]) => Promise<void>,
  ): Promise<number>;
  close(): Promise<void>;
}
