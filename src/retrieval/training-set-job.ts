/**
 * Training sets as durable jobs: validates a request, submits it, and runs it in a worker.
 *
 * A set has its own folder, named by a random id. The folder holds the spine, the data file and the manifest, and the
 * parts while the set is built. API processes and workers must share that folder.
 */
import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { FeatureService } from '../definition/definition.js';
import type { DefinitionRecord, ServiceMeaning } from '../definition/definition-record.js';
import { resolveService } from '../definition/service-type.js';
import { readValue } from '../definition/value-type.js';
import { resolveView, type ViewVersion } from '../definition/view-version.js';
import { FStoreError } from '../errors.js';
import type { Snapshot } from '../registry/snapshot.js';
import type { Job, JobProgress, JobStore, Json } from '../store/job-store.js';
import type { OfflineStore } from '../store/offline-store.js';
import type { QueryReader, RowTable } from '../store/query-reader.js';
import { TABLE_FORMATS } from '../tabular/table-schema.js';
import { openTableWriter } from '../tabular/table-writer.js';
import type { PointInTimeJoin } from './point-in-time-join.js';
import { buildTrainingSet } from './training-set.js';
import { createVectorPlan, type VectorPlan } from './vector-plan.js';

/** The kind of training-set jobs. */
export const TRAINING_SET_JOB = 'trainingSet';

const format = z.enum(TABLE_FORMATS);
const instant = z.union([z.string(), z.number()]).transform((value, context) => {
  const read = readValue('TIMESTAMP', value);
  if (read.ok && typeof read.value === 'number') return read.value;
  context.addIssue({ code: 'custom', message: read.ok ? 'expected a time' : read.reason });
  return z.NEVER;
});
const splitSchema = z.union([
  z.strictObject({
    by: z.enum(['row', 'entity']),
    test: z.number().gt(0).lt(1),
    seed: z.int().min(0).default(0),
  }),
  z.strictObject({ by: z.literal('time'), testFrom: instant }),
]);

/** A client's request for a training set. */
const trainingSetRequestSchema = z.strictObject({
  service: z.string(),
  /**
   * A SELECT for the offline store, or a source whose events are the examples. With neither, the client sends a file.
   */
  sql: z.string().min(1).max(100_000).optional(),
  source: z.string().optional(),
  spineFormat: format.default('csv'),
  timestamp: z.string().default('event_time'),
  format: format.default('parquet'),
  before: z.boolean().default(false),
  known: z.boolean().default(false),
  split: splitSchema.nullable().default(null),
  fit: z.boolean().default(false),
  /** The engine that joins the spine with history. */
  engine: z.enum(['builtin', 'spark']).default('builtin'),
});

const storedRequestSchema = trainingSetRequestSchema.extend({
  set: z.uuid(),
  serviceVersion: z.int(),
  revision: z.int(),
});

/** A stored request, with the set's folder and the versions of the definitions that it was made for. */
export type TrainingSetRequest = z.infer<typeof storedRequestSchema>;

/** Returns the name of the spine's file in the folder of its set. */
export function spineFile({ spineFormat }: Pick<TrainingSetRequest, 'spineFormat'>): string {
  return `spine.${spineFormat}`;
}

/**
 * Validates a request against the definitions. Throws BAD_REQUEST or SOURCE_UNKNOWN naming the field, SERVICE_UNKNOWN for
 * an unknown service, and ENGINE_UNAVAILABLE.
 */
export function readTrainingSetRequest(
  input: unknown,
  snapshot: Snapshot,
  { hasSpark }: { readonly hasSpark: boolean },
): TrainingSetRequest {
  const parsed = trainingSetRequestSchema.safeParse(input);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const field = issue?.path.join('.') || 'request';
    throw new FStoreError('BAD_REQUEST', `${field}: ${issue?.message}`, { field });
  }
  const record = snapshot.services.get(parsed.data.service);
  if (!record) {
    const known = [...snapshot.services.keys()].join(', ') || 'none yet';
    const message = `there is no feature service ${parsed.data.service.slice(0, 80)} (there are: ${known})`;
    throw new FStoreError('SERVICE_UNKNOWN', message, { field: 'service' });
  }
  const { sql, source } = parsed.data;
  if (source !== undefined && (sql !== undefined || !snapshot.sources.has(source))) {
    const known = [...snapshot.sources.keys()].join(', ') || 'none yet';
    const message =
      sql === undefined
        ? `there is no source ${source.slice(0, 80)} (there are: ${known})`
        : 'a spine is either sql or source';
    throw new FStoreError(sql === undefined ? 'SOURCE_UNKNOWN' : 'BAD_REQUEST', message, { field: 'source' });
  }
  if (parsed.data.engine === 'spark') {
    if (!hasSpark) {
      throw new FStoreError('ENGINE_UNAVAILABLE', 'there is no Spark here to join the spine', { field: 'engine' });
    }
    if (parsed.data.known) {
      const message = 'Spark joins what had happened by then; what had arrived by then, the built-in engine tells';
      throw new FStoreError('BAD_REQUEST', message, { field: 'known' });
    }
  }
  const spineFormat = needsFile(parsed.data) ? parsed.data.spineFormat : 'arrow';
  return {
    ...parsed.data,
    spineFormat,
    set: randomUUID(),
    serviceVersion: record.version,
    revision: snapshot.revision,
  };
}

/** Returns whether the client has to send the spine as a file. */
export function needsFile({ sql, source }: { sql?: string | undefined; source?: string | undefined }): boolean {
  return sql === undefined && source === undefined;
}

/**
 * Submits a request whose spine is already in its folder, unless a query or a source provides it. Throws the errors of
 * `QueryReader.check` for a query.
 */
export async function submitTrainingSet(
  { jobs, queries }: { readonly jobs: JobStore; readonly queries: QueryReader },
  request: TrainingSetRequest,
): Promise<Job> {
  if (request.sql !== undefined) await queries.check(request.sql);
  return jobs.submit({ kind: TRAINING_SET_JOB, request: request as unknown as Json });
}

/** Writes examples that a request contains as JSON objects to the spine's file. */
export async function writeSpineRows(
  folder: string,
  request: TrainingSetRequest,
  rows: readonly unknown[],
): Promise<void> {
  const own = join(folder, request.set);
  await mkdir(own, { recursive: true });
  await writeFile(join(own, spineFile(request)), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
}

/** Returns the request of a job. Throws BAD_REQUEST for a job of another kind. */
export function trainingSetRequestOf(job: Job): TrainingSetRequest {
  if (job.kind !== TRAINING_SET_JOB) {
    throw new FStoreError('BAD_REQUEST', `job ${job.id} makes no training set but is a ${job.kind}`, { field: 'id' });
  }
  return storedRequestSchema.parse(job.request);
}

/** Returns the vector plan of a service version, which need not be active any more. Throws SCHEMA_INVALID. */
function planOfService(snapshot: Snapshot, name: string, version: number): VectorPlan {
  const record = snapshot.records.find(
    (one) => one.kind === 'featureService' && one.name === name && one.version === version,
  );
  if (!record) throw new FStoreError('SCHEMA_INVALID', `there is no version ${version} of service ${name}`);
  const views = new Map<string, ViewVersion>(snapshot.views);
  for (const one of snapshot.records) {
    const id = `${one.name}@${one.version}`;
    if (one.kind === 'featureView' && !views.has(id)) views.set(id, resolveView(one, false));
  }
  return createVectorPlan(resolveService(record as DefinitionRecord<FeatureService, ServiceMeaning>), views);
}

/** What the handler of training-set jobs needs. */
export interface TrainingSetWork {
  readonly offline: OfflineStore;
  /** Reads spines that are SELECTs. */
  readonly queries: QueryReader;
  /** The join for each engine that a request can name. */
  readonly joins: Readonly<Record<TrainingSetRequest['engine'], PointInTimeJoin>>;
  /** Folder of all training sets. */
  readonly folder: string;
  /** Returns the newest definitions. */
  snapshot(): Promise<Snapshot>;
}

/** What the job runner passes to a handler. */
interface WorkContext {
  readonly signal: AbortSignal;
  readonly checkpoint: Json | null;
  report(progress: JobProgress, checkpoint?: Json): void;
}

/** Returns the handler of training-set jobs. */
export function createTrainingSetHandler(work: TrainingSetWork): (job: Job, context: WorkContext) => Promise<Json> {
  return async (job, { signal, checkpoint, report }) => {
    const request = trainingSetRequestOf(job);
    const folder = join(work.folder, request.set);
    try {
      return await buildSet(work, job, { signal, checkpoint, report }, folder);
    } catch (error) {
      // Nobody can use what is left of a request that cannot be done. After an outage or a stop the job goes on with it.
      const isFinal = !signal.aborted && error instanceof FStoreError && error.entry.status < 500;
      if (isFinal) await rm(folder, { recursive: true, force: true });
      throw error;
    }
  };
}

async function buildSet(
  work: TrainingSetWork,
  job: Job,
  { signal, checkpoint, report }: WorkContext,
  folder: string,
): Promise<Json> {
  const request = trainingSetRequestOf(job);
  const snapshot = await work.snapshot();
  const plan = planOfService(snapshot, request.service, request.serviceVersion);
  const { finishedParts = 0 } = (checkpoint ?? {}) as { finishedParts?: number };
  if (!needsFile(request)) await writeSpine(request, snapshot, folder, work);
  const options = { ...request, spine: join(folder, spineFile(request)) };
  const built = await buildTrainingSet(plan, options, folder, work.joins[request.engine], {
    signal,
    finishedParts,
    report: (progress, parts) => report(progress, { finishedParts: parts }),
  });
  const manifest = { trainingSet: job.id, ...request, ...built };
  await writeFile(join(folder, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  return manifest as unknown as Json;
}

/** Writes the rows of a query or a source to the spine's file, unless an earlier run has. */
async function writeSpine(
  request: TrainingSetRequest,
  snapshot: Snapshot,
  folder: string,
  { offline, queries }: Pick<TrainingSetWork, 'offline' | 'queries'>,
): Promise<void> {
  const path = join(folder, spineFile(request));
  if (await stat(path).catch(() => null)) return;
  await mkdir(folder, { recursive: true });
  const { sql, source = '' } = request;
  const record = snapshot.sources.get(source);
  if (sql === undefined && !record) throw new FStoreError('SOURCE_UNKNOWN', `there is no source ${source}`);
  const write = async (table: RowTable): Promise<void> => {
    const writer = await openTableWriter(`${path}.tmp`, request.spineFormat, table.schema);
    try {
      for await (const rows of table.batches) await writer.write(rows);
      await writer.close();
    } finally {
      await writer.discard();
    }
  };
  if (sql === undefined) await offline.readEvents(source, record!.meaning, write);
  else await queries.read(sql, {}, write);
  await rename(`${path}.tmp`, path);
}
