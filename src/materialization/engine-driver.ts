/**
 * Port: runs of an engine outside of this process.
 *
 * Invariants
 * 1. `run` resolves when the run has ended, however it ended, and no process of it is left that this one could end.
 * 2. A run whose signal is aborted is told to stop, and ended by force if it does not.
 */
import type { EnginePlan } from './engine-plan.js';

/** What a run tells on its way. */
export interface EngineReport {
  readonly events: number;
  readonly unusable: number;
  /** Rows that are done and, where it is known, that there are; null where a run does not end. */
  readonly done: number | null;
  readonly total: number | null;
  readonly note: string | null;
}

/** How a run ended: it did what it was told, was stopped, another run took over, or it failed. */
export type EngineEnd =
  | { readonly outcome: 'done' | 'stopped' | 'fenced' }
  | { readonly outcome: 'failed'; readonly code: string; readonly message: string; readonly log: string };

export interface EngineDriver {
  run(
    plan: EnginePlan,
    context: { readonly signal: AbortSignal; readonly onReport: (report: EngineReport) => void },
  ): Promise<EngineEnd>;
}
