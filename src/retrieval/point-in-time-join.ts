/**
 * Port: the point-in-time join of a spine, part by part.
 *
 * Invariants that every adapter holds (test/contract/training-set.test.ts, test/contract/batch/training-sets.ts)
 * 1. The result has one row for each row of the spine, in the same order, including duplicates and equal instants.
 * 2. A value is what the same entity showed at the row's instant: event time ≤ the instant (or < it, on request), TTL
 *    applied. Of events with equal times, the one that arrived last counts.
 * 3. An interrupted run leaves nothing half done: another run of the same work may join any part of it.
 */
import type { FeatureValue } from '../definition/value-type.js';
import type { JobProgress } from '../store/job-store.js';
import type { SpineRow } from './training-query.js';
import type { VectorPlan } from './vector-plan.js';

/** One spine to join, and how. */
export interface JoinWork {
  readonly plan: VectorPlan;
  /** True to join only events before the row's instant, and none at it. */
  readonly before: boolean;
  /** True to join only events that had arrived by the row's instant. */
  readonly known: boolean;
  /** A folder for this work, kept until the work is done. */
  readonly folder: string;
  /** Rows of each part except the last. */
  readonly partRows: number;
  readonly signal: AbortSignal;
  /** Reads the whole spine from its beginning. */
  spine(): AsyncIterable<readonly SpineRow[]>;
  report(progress: JobProgress): void;
}

/** A join that has begun. */
export interface PartJoin {
  /**
   * Returns the features of each row of a part, in the order of the plan's columns, before transformation. Parts count
   * from 0. Throws KEY_INVALID, naming the row (counted from 1) and the column.
   */
  join(part: number, rows: readonly SpineRow[]): Promise<FeatureValue[][]>;
}

/** Joins spines with the history of views. */
export interface PointInTimeJoin {
  /** Begins the join of a spine. Throws KEY_INVALID and errors of stores and engines. */
  begin(work: JoinWork): Promise<PartJoin>;
}
