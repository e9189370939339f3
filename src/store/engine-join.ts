/** The request for an engine outside of this process to join a spine with the history of views. */
import type { ViewVersion } from '../definition/view-version.js';
import type { JobProgress } from './job-store.js';

/** A join: its input, its output, and the views to join. */
export interface EngineJoin {
  /** Name of the run; letters, digits and dashes. */
  readonly name: string;
  /**
   * A Parquet file with the columns `o` (ordinal from 0), `at` (milliseconds since 1970) and `k0`… (join keys as
   * canonical text).
   */
  readonly spine: string;
  /**
   * Folder that the run creates. It holds `part=<n>` for each part that has lines, and `_SUCCESS` when it is complete.
   */
  readonly output: string;
  /** Rows of one part. */
  readonly partRows: number;
  /** True to join only events before the row's instant, and none at it. */
  readonly before: boolean;
  /** The views to join; `keys` are the indexes of the spine's key columns that are the view's join keys. */
  readonly views: readonly { readonly view: ViewVersion; readonly keys: readonly number[] }[];
}

/**
 * Runs a join to its end. Throws ENGINE_FAILED. If the signal is aborted, ends the run and throws the signal's reason.
 */
export type RunEngineJoin = (
  join: EngineJoin,
  signal: AbortSignal,
  report: (progress: JobProgress) => void,
) => Promise<void>;
