/**
 * Materialization by Spark: a run reads all rows of a source, computes what they are for every view, and stages it; then it is sealed as
 * a whole, and merged batch by batch.
 *
 * Invariants
 * 1. A run that ends anywhere before it is sealed has written nothing; one that was sealed is not computed again, but merged to its end by
 *    whoever has its job next.
 * 2. What is sealed of a run needs no Spark any more.
 */
import { FStoreError } from '../errors.js';
import type { StagedBatches } from '../store/staged-batches.js';
import type { RunTotal } from '../store/table-run.js';
import type { BatchEngine, BatchRun, BatchTotal } from './batch-engine.js';
import type { EngineDriver, EngineEnd, EngineWord } from './engine-driver.js';
import { batchPlan } from './engine-plan.js';
import { LogTail } from './log-tail.js';
import { batchConsumer, batchStream, batchTopic } from './source-contract.js';
import type { StagedMerger } from './staged-merger.js';
import { type TableMeaning, tableInput } from './table-input.js';

export interface SparkBatchOptions {
  /** Null: this process has no Spark, and can only end what is sealed. */
  readonly driver: EngineDriver | null;
  readonly staged: StagedBatches;
  readonly merger: StagedMerger;
  /** Folder of batch files. */
  readonly folder: string;
  /** Rows of one batch at most, which is merged in one transaction; default: 20,000. */
  readonly batchRows?: number;
}

const BATCH_ROWS = 20_000;

/** The engine that Spark is. */
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
      // However it ended: it may have died when it had done its work.
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
    this.#report(0, null, 'Spark starts');
    const hear = (word: EngineWord): void => {
      if ('line' in word) this.#tail.add(word.line);
      else if ('progress' in word) this.#report(word.progress.done, null, word.progress.note ?? '');
    };
    return driver.run(plan, signal, hear);
  }

  /** Merges all that is sealed. */
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

/** Why a run has come to nothing. DEFINITIONS_STALE: it is to begin anew. */
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
