/**
 * Materialization by Spark. A run reads all rows of a source, computes their values in every view, and stages them. The
 * run is then sealed as a whole and merged batch by batch.
 *
 * Invariants
 * 1. A run that ends before it is sealed has written nothing. A sealed run is never computed again: the next process
 *    that has its job merges the rest of it.
 * 2. Merging a sealed run requires no Spark.
 */
import { FStoreError } from '../errors.js';
import type { QueryReader } from '../store/query-reader.js';
import type { StagedBatches } from '../store/staged-batches.js';
import type { RunTotal } from '../store/table-run.js';
import type { BatchEngine, BatchRun, BatchTotal } from './batch-engine.js';
import type { EngineDriver, EngineEnd, EngineWord } from './engine-driver.js';
import { batchPlan } from './engine-plan.js';
import { LogTail } from './log-tail.js';
import { checkPlanQueries } from './plan-query.js';
import { batchConsumer, batchStream, batchTopic } from './source-contract.js';
import type { StagedMerger } from './staged-merger.js';
import { type TableMeaning, tableInput } from './table-input.js';

/** What the Spark batch engine needs. */
export interface SparkBatchOptions {
  /** Null if this process has no Spark; it can then only merge runs that are already sealed. */
  readonly driver: EngineDriver | null;
  readonly staged: StagedBatches;
  readonly merger: StagedMerger;
  /** What parses queries before Spark reads them. */
  readonly queries: QueryReader;
  /** Folder of batch files. */
  readonly folder: string;
  /** Maximum number of rows in one batch, which is merged in one transaction; 20,000 by default. */
  readonly batchRows?: number;
}

const BATCH_ROWS = 20_000;

/** Returns the batch engine that uses Spark. */
export function createSparkBatchEngine(options: SparkBatchOptions): BatchEngine {
  return { materialize: (batch) => new SparkRun(options, batch).materialize() };
}

class SparkRun {
  readonly #work: SparkBatchOptions;
  readonly #batch: BatchRun;
  readonly #stream: string;
  readonly #tail = new LogTail();

  constructor(work: SparkBatchOptions, batch: BatchRun) {
    this.#work = work;
    this.#batch = batch;
    this.#stream = batchStream(batch.project, batch.contract.source);
  }

  async materialize(): Promise<BatchTotal> {
    const { staged } = this.#work;
    const { run, signal } = this.#batch;
    let total = await staged.sealedTotal(this.#stream, run);
    if (!total) {
      const end = await this.#compute();
      // The seal counts however the run ended: the run may have died after it had completed its work.
      total = await staged.sealedTotal(this.#stream, run);
      if (!total) {
        signal.throwIfAborted();
        throw failureOf(end, this.#batch.contract.source);
      }
    }
    await this.#merge(total);
    await staged.sweep(this.#stream);
    return total;
  }

  async #compute(): Promise<EngineEnd> {
    const { driver, staged, folder, batchRows = BATCH_ROWS } = this.#work;
    const { project, contract, run, since, signal } = this.#batch;
    if (!driver) {
      const message = `source ${contract.source} is read by Spark, and this worker has none`;
      throw new FStoreError('ENGINE_UNAVAILABLE', message, { field: 'batch.engine' });
    }
    const place = { consumer: batchConsumer(contract.source), topic: batchTopic(project, contract.source) };
    const { epoch } = await staged.beginRun({ stream: this.#stream, ...place, run });
    const plan = batchPlan({
      project,
      contract,
      stream: this.#stream,
      epoch,
      input: tableInput(contract.meaning as TableMeaning, folder, contract.reading?.partition ?? null),
      folder,
      run: { number: run, ...place, since, rows: batchRows },
    });
    await checkPlanQueries(this.#work.queries, plan);
    this.#report(0, null, 'Spark starts');
    const hear = (word: EngineWord): void => {
      if ('line' in word) this.#tail.add(word.line);
      else if ('progress' in word) this.#report(word.progress.done, null, word.progress.note ?? '');
    };
    return driver.run(plan, signal, hear);
  }

  /** Merges all sealed batches of the run. */
  async #merge(total: RunTotal): Promise<void> {
    const rows = total.written + total.deadLetters;
    let merged = 0;
    this.#report(merged, rows, 'merging');
    await this.#work.merger.drain(
      this.#stream,
      [...this.#batch.contract.views, ...this.#batch.contract.queries],
      ({ size }) => {
        merged += size;
        this.#report(merged, rows, 'merging');
        this.#batch.signal.throwIfAborted();
      },
    );
  }

  #report(done: number, total: number | null, note: string): void {
    this.#batch.report({ done, total, note, log: this.#tail.lines });
  }
}

/** Returns why a run failed. DEFINITIONS_STALE asks the caller to start it again. */
function failureOf(end: EngineEnd, source: string): FStoreError {
  if (end.outcome !== 'failed') {
    return new FStoreError('DEFINITIONS_STALE', `views of ${source} have changed since the run began`);
  }
  const { code, message, field, log } = end;
  if (code === 'DEFINITIONS_STALE') return new FStoreError('DEFINITIONS_STALE', message);
  if (code === 'SQL_INVALID') return new FStoreError('SQL_INVALID', message);
  if (code === 'BAD_INPUT') return new FStoreError('BAD_REQUEST', message, field === null ? {} : { field });
  return new FStoreError('ENGINE_FAILED', `${code}: ${message} (log: ${log})`);
}
