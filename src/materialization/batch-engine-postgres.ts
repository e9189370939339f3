/**
 * Materialization within FStore itself: reads rows of a file or of PostgreSQL, checks them like events, and writes them
 * with the same writer, in batches.
 */
import type { SourceMeaning } from '../definition/definition-record.js';
import { type FeatureValue, type ValueType, valueToJson } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';
import type { QueryReader } from '../store/query-reader.js';
import { readTable } from '../tabular/table-reader.js';
import type { BatchEngine, BatchRun, BatchTotal } from './batch-engine.js';
import { localBatch, pathWithin } from './batch-path.js';
import { processBatch } from './processor.js';
import { batchConsumer, batchTopic } from './source-contract.js';
import type { Writer } from './writer.js';

/** The dependencies of the built-in batch engine. */
export interface BuiltinBatchOptions {
  readonly queries: QueryReader;
  readonly writer: Writer;
  /** Folder of batch files. */
  readonly folder: string;
  readonly now: () => number;
}

/** Rows of one commit. */
const BATCH_ROWS = 2_000;

/** Returns the batch engine that needs only PostgreSQL and this process. */
export function createBuiltinBatchEngine(options: BuiltinBatchOptions): BatchEngine {
  return {
    materialize: async (batch) => {
      const run = new BuiltinRun(options, batch);
      await readRows(batch.contract.meaning, options, (rows) => run.take(rows));
      return run.total();
    },
  };
}

/** One pass over a source's rows. */
class BuiltinRun {
  readonly #work: BuiltinBatchOptions;
  readonly #batch: BatchRun;
  readonly #topic: string;
  readonly #columns: readonly (readonly [string, ValueType])[];
  readonly #time: number;
  #position = 0;
  #written = 0;
  #deadLetters = 0;
  #newest: number | null = null;

  constructor(work: BuiltinBatchOptions, batch: BatchRun) {
    const { contract, project } = batch;
    this.#work = work;
    this.#batch = batch;
    this.#topic = batchTopic(project, contract.source);
    this.#columns = Object.entries(contract.meaning.schema);
    this.#time = this.#columns.findIndex(([name]) => name === contract.meaning.timestamp);
  }

  async take(rows: readonly (readonly FeatureValue[])[]): Promise<void> {
    const { contract, run, since, signal, report } = this.#batch;
    signal.throwIfAborted();
    const { writer, now } = this.#work;
    const first = this.#position;
    this.#position += rows.length;
    const messages = rows.flatMap((row, index) => {
      const time = row[this.#time];
      if (typeof time === 'number' && since !== null && time <= since) return [];
      return [{ offset: BigInt(first + index), key: null, value: this.#eventOf(row), headers: {} }];
    });
    if (messages.length > 0) {
      const batch = { topic: this.#topic, partition: run, messages };
      const commit = processBatch(batch, contract, batchConsumer(contract.source), now());
      this.#written += await writer.write(commit).catch(explain);
      this.#deadLetters += commit.deadLetters.length;
      for (const { eventTime } of commit.events) this.#newest = Math.max(this.#newest ?? eventTime, eventTime);
    }
    report({ done: this.#position, total: null, note: `${this.#written} rows written` });
  }

  total(): BatchTotal {
    return { read: this.#position, written: this.#written, deadLetters: this.#deadLetters, newest: this.#newest };
  }

  /** Returns a row as an event; integers beyond 2^53 become text, which is read exactly. */
  #eventOf(row: readonly FeatureValue[]): Buffer {
    const event: Record<string, unknown> = {};
    for (const [index, [name, type]] of this.#columns.entries()) event[name] = valueToJson(type, row[index] ?? null);
    return Buffer.from(JSON.stringify(event));
  }
}

async function readRows(
  { schema, timestamp, batch: declared }: SourceMeaning,
  { queries, folder }: BuiltinBatchOptions,
  take: (rows: readonly (readonly FeatureValue[])[]) => Promise<void>,
): Promise<void> {
  const columns = Object.entries(schema).map(([name, type]) => ({ name, type }));
  if (!declared) return;
  const batch = localBatch(declared);
  if (!batch) throw new FStoreError('ENGINE_UNAVAILABLE', 'only Spark reads this', { field: 'batch.engine' });
  if ('query' in batch) {
    // The order must be the same at each read, because positions identify rows. It starts with the event time, so that
    // new rows come last.
    const order = [timestamp, ...columns.map(({ name }) => name).filter((name) => name !== timestamp)];
    await queries.read(batch.query, { columns, order }, async ({ batches }) => {
      for await (const rows of batches) await take(rows);
    });
    return;
  }
  const table = await readTable(pathWithin(folder, batch.path, batch.format), {
    format: batch.format,
    within: folder,
    field: 'batch',
    schema: columns,
    batchSize: BATCH_ROWS,
  });
  // A file has its own order of columns.
  const order = columns.map(({ name }) => table.schema.findIndex((column) => column.name === name));
  try {
    for await (const rows of table.batches()) await take(rows.map((row) => order.map((index) => row[index] ?? null)));
  } finally {
    await table.close();
  }
}

/**
 * Converts TOPIC_RECREATED to BATCH_CHANGED: history has other rows at positions that a failed run has already written.
 */
function explain(error: unknown): never {
  if (!(error instanceof FStoreError) || error.code !== 'TOPIC_RECREATED') throw error;
  const message = 'the rows that are read are not those that a run before, which did not end, has begun to write';
  throw new FStoreError('BATCH_CHANGED', message, { field: 'batch' }, [], { cause: error });
}
