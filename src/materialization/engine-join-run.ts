/** Runs an engine to join a spine with history. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { FStoreError } from '../errors.js';
import type { RunEngineJoin } from '../store/engine-join.js';
import type { EngineDriver } from './engine-driver.js';
import { joinPlan } from './engine-join-plan.js';
import { LogTail } from './log-tail.js';

/** The file that the engine writes to its output folder when the output is complete. */
const WHOLE = '_SUCCESS';

/** Returns the function that runs joins. It starts nothing before the first one. */
export function createEngineJoin({ driver, project }: { driver: EngineDriver; project: string }): RunEngineJoin {
  return async (work, signal, report) => {
    const tail = new LogTail();
    const end = await driver.run(joinPlan(project, work), signal, (word) => {
      if ('line' in word) tail.add(word.line);
      else if ('progress' in word) report({ ...word.progress, log: tail.lines });
    });
    signal.throwIfAborted();
    // The output counts however the run ended: the run may have died after it had completed its work.
    if (await stat(join(work.output, WHOLE)).catch(() => null)) return;
    if (end.outcome !== 'failed') throw new FStoreError('ENGINE_FAILED', 'the run was stopped before it had an end');
    throw new FStoreError('ENGINE_FAILED', `${end.code}: ${end.message} (log: ${end.log})`);
  };
}
