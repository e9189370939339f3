/**
 * Port: runs of an engine outside of this process.
 *
 * Invariants
 * 1. `run` resolves when the run has ended, however it ended, and no process of it is left that this one could end.
 * 2. A run whose signal is aborted is told to stop, and ended by force if it does not.
 */
import type { EnginePlan } from './engine-plan.js';

/** How a run ended: it was stopped, another run took over, or it failed. */
export type EngineEnd =
  | { readonly outcome: 'stopped' | 'fenced' }
  | { readonly outcome: 'failed'; readonly code: string; readonly message: string; readonly log: string };

/** Is told of a view that the run leaves out because it refuses its query: which one, and why. */
export type OnRefused = (message: string) => void;

export interface EngineDriver {
  run(plan: EnginePlan, signal: AbortSignal, onRefused: OnRefused): Promise<EngineEnd>;
}
