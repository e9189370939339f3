/**
 * Materialization: rows of a source's files or tables, checked like events and written by the same writer.
 *
 * Invariants
 * 1. A row has its place (source, run, position in what is read). A job that is taken over, or begun again after one that failed, reads
 *    again under the same number and writes nothing twice. What is read keeps its order: a query is read by event time, so what is added
 *    to a table meanwhile comes last; something else at the places that were written is refused with BATCH_CHANGED.
 * 2. Runs of one source follow each other by event time: a row at or before the watermark of the runs before is passed over, so a file that
 *    has grown, or the same file once more, adds what is new and no more.
 * 3. Rows go into the event log like events: a view that begins later has them.
 */
import { isAbsolute, join, normalize, sep } from 'node:path';
import type { SourceMeaning } from '../definition/definition-record.js';
import { type FeatureValue, type ValueType, valueToJson } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';
import type { Snapshot } from '../registry/snapshot.js';
import type { Job, JobStore, Json } from '../store/job-store.js';
import type { OfflineStore } from '../store/offline-store.js';
import { readTable } from '../tabular/table-reader.js';
import type { EventLimits } from './event-decoder.js';
import type { JobContext } from './job-runner.js';
import { processBatch } from './processor.js';
import { batchTopic, type SourceContract, sourceContracts } from './source-contract.js';
import type { Writer } from './writer.js';

export const MATERIALIZE_JOB = 'materialize';
/** Rows of one commit. */
const BATCH_ROWS = 2_000;
/** How many jobs of a source are looked through for what failed since it last succeeded; the newest of them that wrote tells the rest. */
const RECENT_JOBS = 1_000;

export interface MaterializeRequest {
  readonly source: string;
  /** The time for which a schedule asked; null if a person did. */
  readonly due: string | null;
}

export interface MaterializeResult {
  /** Rows that were read, that were new, and that could not be used. */
  readonly read: number;
  readonly written: number;
  readonly deadLetters: number;
  /** Greatest event time that was taken in so far, ISO 8601; null: none. */
  readonly watermark: string | null;
}

export interface MaterializeWork {
  readonly offline: OfflineStore;
  readonly writer: Writer;
  readonly jobs: JobStore;
  readonly limits: EventLimits;
  /** Folder of batch files. */
  readonly folder: string;
  readonly now: () => number;
  snapshot(): Promise<Snapshot>;
}

/**
 * Queues a materialization; one of a source at a time, and one for each due time, whatever became of it.
 * Throws SOURCE_UNKNOWN or SOURCE_NOT_BATCH.
 */
export async function submitMaterialization(
  jobs: JobStore,
  snapshot: Snapshot,
  source: string,
  due: string | null = null,
): Promise<Job> {
  const record = snapshot.sources.get(source);
  if (!record)
    throw new FStoreError('SOURCE_UNKNOWN', `there is no source ${source.slice(0, 80)}`, { field: 'source' });
  if (!record.meaning.batch) {
    throw new FStoreError('SOURCE_NOT_BATCH', `source ${source} is not read in batches`, { field: 'source' });
  }
  const once = due === null ? undefined : `${source}@${due}`;
  return jobs.submit({ kind: MATERIALIZE_JOB, request: { source, due }, key: source, once });
}

/** Where a job goes on: rows after `since` (milliseconds), at the places of `run`. */
interface StartingPoint {
  readonly run: number;
  readonly since: number;
}

/**
 * A job that failed or was cancelled may have written rows. Whoever comes after it reads under its number: what it has written is at the
 * same places and is not written again.
 */
async function startingPoint(jobs: JobStore, own: Job, source: string): Promise<StartingPoint> {
  const ofSource = { kind: MATERIALIZE_JOB, key: source };
  const [last] = await jobs.list({ ...ofSource, status: 'SUCCEEDED', limit: 1 });
  const watermark = (last?.result as unknown as MaterializeResult | undefined)?.watermark ?? null;
  const since = watermark === null ? Number.NEGATIVE_INFINITY : Date.parse(watermark);
  let run = Number(own.id);
  for (const job of await jobs.list({ ...ofSource, limit: RECENT_JOBS })) {
    if (job.id === last?.id) break;
    if (job.id === own.id) continue;
    const told = (job.checkpoint as { run?: number } | null)?.run;
    if (told !== undefined) return { run: told, since };
    // It may have died before its checkpoint was stored, after it had written: then under its own number, or an older one's.
    run = Number(job.id);
  }
  return { run, since };
}

/** Makes the handler of materialization jobs. */
export function createMaterializeHandler(work: MaterializeWork): (job: Job, context: JobContext) => Promise<Json> {
  return async (job, context) => {
    const { source } = job.request as unknown as MaterializeRequest;
    const snapshot = await work.snapshot();
    const contract = sourceContracts(snapshot, work.limits).get(source);
    if (!contract?.meaning.batch) {
      throw new FStoreError('SOURCE_NOT_BATCH', `source ${source} is not read in batches any more`, {
        field: 'source',
      });
    }
    const known = context.checkpoint as { run?: number } | null;
    const start = await startingPoint(work.jobs, job, source);
    const run = new MaterializeRun(work, contract, snapshot.project, context, {
      ...start,
      run: known?.run ?? start.run,
    });
    run.begin();
    await readRows(contract.meaning, work, (rows) => run.take(rows));
    return (await run.finish()) as unknown as Json;
  };
}

/** One pass over a source's rows. */
class MaterializeRun {
  readonly #work: MaterializeWork;
  readonly #contract: SourceContract;
  readonly #topic: string;
  readonly #run: number;
  readonly #context: JobContext;
  readonly #since: number;
  readonly #columns: readonly (readonly [string, ValueType])[];
  readonly #time: number;
  #position = 0;
  #written = 0;
  #deadLetters = 0;
  #watermark: number;

  constructor(
    work: MaterializeWork,
    contract: SourceContract,
    project: string,
    context: JobContext,
    { run, since }: StartingPoint,
  ) {
    this.#work = work;
    this.#contract = contract;
    this.#topic = batchTopic(project, contract.source);
    this.#run = run;
    this.#context = context;
    this.#since = since;
    this.#watermark = since;
    this.#columns = Object.entries(contract.meaning.schema);
    this.#time = this.#columns.findIndex(([name]) => name === contract.meaning.timestamp);
  }

  /** Says under which number it writes, before it writes. */
  begin(): void {
    this.#context.report({ done: 0, total: null }, { run: this.#run });
  }

  async take(rows: readonly (readonly FeatureValue[])[]): Promise<void> {
    this.#context.signal.throwIfAborted();
    const { writer, now } = this.#work;
    const first = this.#position;
    this.#position += rows.length;
    const messages = rows.flatMap((row, index) => {
      const time = row[this.#time];
      if (typeof time === 'number' && time <= this.#since) return [];
      return [{ offset: BigInt(first + index), key: null, value: this.#eventOf(row), headers: {} }];
    });
    if (messages.length > 0) {
      const batch = { topic: this.#topic, partition: this.#run, messages };
      const commit = processBatch(batch, this.#contract, `batch.${this.#contract.source}`, now());
      this.#written += await writer.write(commit).catch(explain);
      this.#deadLetters += commit.deadLetters.length;
      for (const { eventTime } of commit.events) this.#watermark = Math.max(this.#watermark, eventTime);
    }
    const progress = { done: this.#position, total: null, note: `${this.#written} rows written` };
    this.#context.report(progress, { run: this.#run });
  }

  async finish(): Promise<MaterializeResult> {
    const watermark = Number.isFinite(this.#watermark) ? new Date(this.#watermark).toISOString() : null;
    return { read: this.#position, written: this.#written, deadLetters: this.#deadLetters, watermark };
  }

  /** A row as the event that it is; integers beyond 2^53 as text, which is read exactly. */
  #eventOf(row: readonly FeatureValue[]): Buffer {
    const event: Record<string, unknown> = {};
    for (const [index, [name, type]] of this.#columns.entries()) event[name] = valueToJson(type, row[index] ?? null);
    return Buffer.from(JSON.stringify(event));
  }
}

async function readRows(
  { schema, timestamp, batch }: SourceMeaning,
  { offline, folder }: MaterializeWork,
  take: (rows: readonly (readonly FeatureValue[])[]) => Promise<void>,
): Promise<void> {
  const columns = Object.entries(schema).map(([name, type]) => ({ name, type }));
  if (!batch) return;
  if ('query' in batch) {
    // Read in one order whenever it is read, because places count; by time first, so that what is new comes last.
    const names = columns.map(({ name }) => `"${name}"`).join(', ');
    const others = columns.filter(({ name }) => name !== timestamp).map(({ name }) => `"${name}"`);
    const sql = `SELECT ${names} FROM (${batch.query}) AS rows ORDER BY ${[`"${timestamp}"`, ...others].join(', ')}`;
    await offline.readSpine({ sql, types: columns.map(({ type }) => type) }, async ({ batches }) => {
      for await (const rows of batches) await take(rows);
    });
    return;
  }
  const table = await readTable(pathWithin(folder, batch.path), {
    format: batch.format,
    schema: columns,
    batchSize: BATCH_ROWS,
  });
  // The file's order of columns is its own.
  const order = columns.map(({ name }) => table.schema.findIndex((column) => column.name === name));
  try {
    for await (const rows of table.batches()) await take(rows.map((row) => order.map((index) => row[index] ?? null)));
  } finally {
    await table.close();
  }
}

/** History has other rows at places that a run before, which failed, has written. */
function explain(error: unknown): never {
  if (!(error instanceof FStoreError) || error.code !== 'TOPIC_RECREATED') throw error;
  const message = 'the rows that are read are not those that a run before, which did not end, has begun to write';
  throw new FStoreError('BATCH_CHANGED', message, { field: 'batch' }, [], { cause: error });
}

/** A path that stays in its folder. Throws BAD_REQUEST. */
function pathWithin(folder: string, path: string): string {
  const clean = normalize(path);
  if (isAbsolute(clean) || clean.split(sep).includes('..')) {
    throw new FStoreError('BAD_REQUEST', `${path} leads out of the folder of batch files`, { field: 'batch' });
  }
  return join(folder, clean);
}
