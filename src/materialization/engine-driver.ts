/**
 * Port: runs of an engine outside of this process.
 *
 * Invariants
 * 1. `run` resolves when the run has ended, however it ended, and leaves no process that this one could have ended.
 * 2. A run whose signal is aborted is asked to stop, and killed if it does not.
 * 3. Messages of a run contain no passwords.
 */
import type { JobProgress } from '../store/job-store.js';
import type { EnginePlan } from './engine-plan.js';

/**
 * A message of an active run: its progress, a line of its log, or why it refuses the query of a view and leaves the
 * view out.
 */
export type EngineWord = { readonly progress: JobProgress } | { readonly line: string } | { readonly refused: string };

/** How a run ended: it was stopped, another run took over (`fenced`), or it failed. */
export type EngineEnd =
  | { readonly outcome: 'stopped' | 'fenced' }
  | {
      readonly outcome: 'failed';
      readonly code: string;
      readonly message: string;
      /** The field of the definition that caused the failure; null if no definition did. */
      readonly field: string | null;
      readonly log: string;
    };

/** Starts runs of one engine. */
export interface EngineDriver {
  /** Executes a plan until it ends or `signal` is aborted, and passes the run's messages to `hear`. */
  run(plan: EnginePlan, signal: AbortSignal, hear: (word: EngineWord) => void): Promise<EngineEnd>;
}
