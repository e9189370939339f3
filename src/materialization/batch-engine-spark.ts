/**
 * Materialization on Spark: one run reads, checks and aggregates everything and stages it; then it is merged here, chunk by chunk, each
 * chunk holding some entities whole.
 *
 * A run is sealed as one. What died before that left nothing; what died after it is merged to its end, and not read again.
 */
import type { SparkBatchMeaning } from '../definition/definition-record.js';
import { FStoreError } from '../errors.js';
import type { RunTotal, StagedBatches } from '../store/staged-batches.js';
import type { BatchEngine, BatchRun, BatchTotal } from './batch-engine.js';
import type { EngineDriver } from './engine-driver.js';
import { batchPlan } from './engine-plan.js';
import { batchTopic } from './source-contract.js';
import type { StagedMerger } from './staged-merger.js';

export interface SparkBatchOptions {
  readonly driver: EngineDriver;
  readonly staged: StagedBatches;
  readonly merger: StagedMerger;
  /** Folder of batch files, as Spark reaches it. */
  readonly folder: string;
}

/** The engine that Spark is. */
export function createSparkBatchEngine(options: SparkBatchOptions): BatchEngine {
  return { materialize: (run) => materialize(options, run) };
}

async function materialize(options: SparkBatchOptions, batch: BatchRun): Promise<BatchTotal> {
  const { staged } = options;
  const { contract, project, run } = batch;
  const stream = batchTopic(project, contract.source);
  const before = await staged.totalOf(stream, run);
  if (!before) await stage(options, batch, stream);
  const total = before ?? (await staged.totalOf(stream, run));
  if (!total)
    throw new FStoreError('ENGINE_FAILED', `the run over ${contract.source} ended without having sealed anything`);
  await merge(options, batch, stream, total);
  return { read: total.read, written: total.events, deadLetters: total.unusable, newest: total.newest };
}

async function stage({ driver, staged, folder }: SparkBatchOptions, batch: BatchRun, stream: string): Promise<void> {
  const { contract, project, run, since, signal, report } = batch;
  const { views, revision, source } = contract;
  const begun = await staged.begin({ stream, source, topic: null, revision, views, run });
  const options = { project, contract, views, stream, begun };
  const plan = batchPlan(options, contract.meaning.batch as SparkBatchMeaning, folder, since);
  report({ done: 0, total: null, note: 'Spark starts' });
  const end = await driver.run(plan, {
    signal,
    onReport: ({ done, total, note }) => report({ done: done ?? 0, total, ...(note ? { note } : {}) }),
  });
  signal.throwIfAborted();
  if (end.outcome === 'failed') throw new FStoreError('ENGINE_FAILED', `${end.code}: ${end.message} (log: ${end.log})`);
  if (end.outcome !== 'done')
    throw new FStoreError('ENGINE_FAILED', `the run over ${source} was taken over by another`);
}

async function merge(
  { merger }: SparkBatchOptions,
  batch: BatchRun,
  stream: string,
  { read }: RunTotal,
): Promise<void> {
  const { contract, project, run, views, signal, report } = batch;
  const place = { source: contract.source, topic: batchTopic(project, contract.source), partition: run };
  let chunks = 0;
  await merger.drain(stream, views, place, () => {
    // Between two chunks: what is sealed waits for whoever comes next.
    signal.throwIfAborted();
    chunks += 1;
    report({ done: read, total: read, note: `${chunks} chunks merged` });
  });
}
