/**
 * Chooses the engine for a batch: the one that the definition names, except for a run that Spark has already sealed.
 */
import { FStoreError } from '../errors.js';
import type { StagedBatches } from '../store/staged-batches.js';
import type { BatchEngine } from './batch-engine.js';
import { batchStream } from './source-contract.js';

/** The engines to choose from. */
export interface BatchEngines {
  readonly builtin: BatchEngine;
  readonly spark: BatchEngine;
  readonly staged: Pick<StagedBatches, 'sealedTotal'>;
}

/** Returns an engine that passes each run to the engine that must read it. */
export function createBatchEngine({ builtin, spark, staged }: BatchEngines): BatchEngine {
  return {
    materialize: async (run) => {
      const { project, contract } = run;
      const isSealed = await staged.sealedTotal(batchStream(project, contract.source), run.run);
      if (isSealed || contract.reading?.engine === 'spark') return spark.materialize(run);
      const [query] = contract.queries;
      if (query && contract.topic === null) {
        const message = `view ${query.name} is a query in the SQL of Spark, and source ${contract.source} has no other events than these`;
        throw new FStoreError('BAD_REQUEST', message, { field: 'batch.engine' });
      }
      return builtin.materialize(run);
    },
  };
}
