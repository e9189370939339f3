/**
 * Port: runs of an engine outside of this process.
 *
 * Invariants
 * 1. `run` resolves when the run has ended, however it ended, and no process of it is left that this one could end.
 * 2. A run whose signal is aborted is told to stop, and ended by force if it does not.
 * 3. What is heard of a run holds no password.
 */
import type { JobProgress } from '../store/job-store.js';
import type { EnginePlan } from './engine-plan.js';

/** What a run says while it runs: how far it is, a line of its log, or of a view that it leaves out, why it refuses its query. */
export type EngineWord = { readonly progress: JobProgress } | { readonly line: string } | { readonly refused: string };

/** How a run ended: it was stopped, another run took over, or it failed. */
export type EngineEnd =
  | { readonly outcome: 'stopped' | 'fenced' }
  | {
      readonly outcome: 'failed';
      readonly code: string;
      readonly message: string;
      /** What of the definitions is at fault; null: nothing of them. */
      readonly field: string | null;
      readonly log: string;
    };

export interface EngineDriver {
  run(plan: EnginePlan, signal: AbortSignal, hear: (word: EngineWord) => void): Promise<EngineEnd>;
}
