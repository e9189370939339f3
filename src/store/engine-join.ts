/** What an engine outside of this process is asked to join: a spine with the history of views, at the instants of its rows. */
import type { ViewVersion } from '../definition/view-version.js';
import type { JobProgress } from './job-store.js';

export interface EngineJoin {
  /** Name of the run, of letters, digits and dashes. */
  readonly name: string;
  /** Parquet: `o` (ordinal from 0), `at` (milliseconds since 1970), `k0`… (join keys as canonical text). */
  readonly spine: string;
  /** Folder that the run makes: `part=<n>` for each part that has lines, and `_SUCCESS` once it is whole. */
  readonly output: string;
  /** Rows of one part. */
  readonly partRows: number;
  /** Only what happened before the instant, not at it. */
  readonly before: boolean;
  /** `keys`: which columns of the spine are the view's join keys, by their number. */
  readonly views: readonly { readonly view: ViewVersion; readonly keys: readonly number[] }[];
}

/** Runs a join to its end. Throws ENGINE_FAILED; a run whose signal is aborted is ended, and throws the signal's reason. */
export type RunEngineJoin = (
  join: EngineJoin,
  signal: AbortSignal,
  report: (progress: JobProgress) => void,
) => Promise<void>;
