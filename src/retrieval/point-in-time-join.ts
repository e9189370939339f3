/**
 * Port: the point-in-time join of a spine, part by part.
 *
 * Invariants that every adapter holds (test/contract/training-set.test.ts, test/contract/batch/training-sets.ts)
 * 1. As many rows come out as went in, in their order, duplicates and equal instants included.
 * 2. A value is what the same entity showed at the row's instant: event time ≤ the instant (or < it, if asked for), ties by order of arrival,
 *    TTL applied.
 * 3. A run that died leaves nothing half: whoever begins the same work again may join any part of it.
 */
import type { FeatureValue } from '../definition/value-type.js';
import type { JobProgress } from '../store/job-store.js';
import type { SpineRow } from './training-query.js';
import type { VectorPlan } from './vector-plan.js';

export interface JoinWork {
  readonly plan: VectorPlan;
  /** Only what happened before the instant, not at it. */
  readonly before: boolean;
  /** Only what had arrived by the instant. */
  readonly known: boolean;
  /** A folder of this work, which is kept until it is done. */
  readonly folder: string;
  /** Rows of each part but the last. */
  readonly partRows: number;
  readonly signal: AbortSignal;
  /** Reads the whole spine, from its beginning. */
  spine(): AsyncIterable<readonly SpineRow[]>;
  report(progress: JobProgress): void;
}

export interface PartJoin {
  /**
   * The features of each row of a part, in the order of the plan's columns, before transformations; `part` counts from 0.
   * Throws KEY_INVALID, which names the row (from 1) and the column.
   */
  join(part: number, rows: readonly SpineRow[]): Promise<FeatureValue[][]>;
}

export interface PointInTimeJoin {
  /** Begins the join of a spine. Throws KEY_INVALID, and what stores and engines throw. */
  begin(work: JoinWork): Promise<PartJoin>;
}
