/**
 * Port: what other engines have computed, on its way into the offline store.
 *
 * Invariants that every adapter holds (test/contract/staged-batches.test.ts)
 * 1. Only the run that began last can seal; a batch is merged once, whole or not at all, in the order in which it was sealed.
 * 2. The positions of a stream's views move exactly when a batch is sealed: a run that begins anew goes on there.
 * 3. An entity that a merged batch has touched is handed out by `publish` until the callback for it has resolved.
 * 4. A run over a table is sealed once, with all of its batches; its rows are logged, and those that are unusable become dead letters, in
 *    the transaction that merges them. It is refused when a view of its source began with newer definitions.
 */
import type { EntityKey } from '../definition/entity-key.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { NewDeadLetter } from './offline-store.js';
import type { RunTotal, TableRun, UnusableRows } from './table-run.js';

export interface RunRequest {
  readonly stream: string;
  readonly source: string;
  readonly topic: string;
  readonly revision: number;
  readonly views: readonly ViewVersion[];
}

export interface BegunRun {
  readonly epoch: number;
  /** For each view, by table: the next offset of each partition. */
  readonly positions: ReadonlyMap<string, Readonly<Record<string, string>>>;
}

export interface MergedBatch {
  /** Rows, usable or not. */
  readonly size: number;
  readonly events: number;
  /** Greatest event time, milliseconds; null: there is none. */
  readonly newest: number | null;
}

export interface StagedBatches {
  /** Begins a run; runs before it can seal no more. Throws DEFINITIONS_STALE if a view of a stream is not another engine's. */
  begin(request: RunRequest): Promise<BegunRun>;
  /** Begins a run over a table. Throws BATCH_CHANGED if the built-in engine has begun to write under its number. */
  beginRun(run: TableRun): Promise<{ readonly epoch: number }>;
  /** What the run came to, if it was sealed. */
  sealedTotal(stream: string, run: number): Promise<RunTotal | null>;
  /** Forgets what runs of a stream before the last one have staged and not sealed: one that died late may have staged after that began. */
  sweep(stream: string): Promise<void>;
  /** Ends the right to seal of every run of a stream. */
  fence(stream: string): Promise<void>;
  /** Whether the run wants to know if its definitions are the newest. */
  isAsking(stream: string, epoch: number): Promise<boolean>;
  /** Says that they are. */
  confirm(stream: string, epoch: number): Promise<void>;
  /**
   * Merges the oldest sealed batch of a stream; null: there is none. Views that are not among `views` are left out. `bury` makes dead
   * letters of unusable rows, before they are written.
   */
  merge(
    stream: string,
    views: readonly ViewVersion[],
    bury: (unusable: UnusableRows) => Promise<readonly NewDeadLetter[]>,
  ): Promise<MergedBatch | null>;
  /** Hands out the entities that merged batches of a stream have touched, some at a time; returns how many. */
  publish(
    stream: string,
    views: readonly ViewVersion[],
    take: (view: ViewVersion, keys: readonly EntityKey[]) => Promise<void>,
  ): Promise<number>;
  close(): Promise<void>;
}
