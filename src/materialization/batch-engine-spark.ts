/**
 * Materialization by Spark: a run reads all rows of a source, computes what they are for every view, and stages it; then it is sealed as
 * a whole, and merged batch by batch.
 *
 * Invariants
 * 1. A run that ends anywhere before it is sealed has written nothing; one that was sealed is not computed again, but merged to its end by
 *    whoever has its job next.
 * 2. What is sealed of a run needs no Spark any more.
 */
import { resolve } from 'node:path';
import type { BatchMeaning } from '../definition/definition-record.js';
import type { ValueType } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';
import type { RunTotal, StagedBatches } from '../store/staged-batches.js';
import type { BatchEngine, BatchRun, BatchTotal } from './batch-engine.js';
import { isAddress, pathWithin } from './batch-path.js';
import type { EngineDriver, EngineEnd, EngineWord } from './engine-driver.js';
import { batchPlan, SINK_VARIABLE, type TableInput } from './engine-plan.js';
import { LogTail } from './log-tail.js';
import { batchConsumer, batchStream, batchTopic, type SourceContract } from './source-contract.js';
import type { StagedMerger } from './staged-merger.js';

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
      input: tableInput(contract, folder),
      run: { number: run, ...place, since, rows: batchRows },
    });
    this.#report(0, null, 'Spark starts');
    const hear = (word: EngineWord): void => {
      if ('line' in word) this.#tail.add(word.line);
      else this.#report(word.progress.done, null, word.progress.note ?? '');
    };
    return driver.run(plan, signal, hear);
  }

  /** Merges all that is sealed. */
  async #merge(total: RunTotal): Promise<void> {
    const rows = total.written + total.deadLetters;
    let merged = 0;
    this.#report(merged, rows, 'merging');
    await this.#work.merger.drain(this.#stream, this.#batch.contract.views, ({ size }) => {
      merged += size;
      this.#report(merged, rows, 'merging');
      this.#batch.signal.throwIfAborted();
    });
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
  if (code === 'BAD_INPUT') return new FStoreError('BAD_REQUEST', message, field === null ? {} : { field });
  return new FStoreError('ENGINE_FAILED', `${code}: ${message} (log: ${log})`);
}

/** Where the rows of a source are, as Spark finds them. Throws BAD_REQUEST for a path that leads out of the folder of batch files. */
function tableInput({ meaning, reading }: SourceContract, folder: string): TableInput {
  const { schema, timestamp } = meaning;
  const batch = meaning.batch as BatchMeaning;
  if ('path' in batch) {
    return { file: { format: batch.format as 'csv', path: sparkPath(folder, batch.path) } };
  }
  const { connection } = batch;
  const partition = reading?.partition ?? null;
  const more = { partition, order: [timestamp, ...Object.keys(schema).filter((name) => name !== timestamp)] };
  if (connection === undefined) {
    const query = postgresQuery(batch.query, schema, partition?.column ?? null);
    return { jdbc: { urlEnv: SINK_VARIABLE, userEnv: null, passwordEnv: null, query, ...more } };
  }
  const name = `FSTORE_JDBC_${connection.toUpperCase()}`;
  const given = { urlEnv: `${name}_URL`, userEnv: `${name}_USER`, passwordEnv: `${name}_PASSWORD` };
  return { jdbc: { ...given, query: batch.query, ...more } };
}

/** An address is passed on; a path within the folder is a file of this machine, whose name has no wildcards. */
function sparkPath(folder: string, path: string): string {
  if (isAddress(path)) return path;
  return `file://${resolve(pathWithin(folder, path))}`.replaceAll(/[*?[\]{}\\]/g, '\\$&');
}

/** The declared columns. A number without a precision would be one of 18 decimals for Spark. */
function postgresQuery(query: string, schema: Readonly<Record<string, ValueType>>, partition: string | null): string {
  const columns = Object.entries(schema).map(([name, type]) => {
    const cast = type === 'FLOAT64' ? '::float8' : type === 'FLOAT64[]' ? '::float8[]' : '';
    return cast ? `"${name}"${cast} AS "${name}"` : `"${name}"`;
  });
  if (partition !== null && !(partition in schema)) columns.push(`"${partition}"`);
  return `SELECT ${columns.join(', ')} FROM (${query}) AS rows`;
}
