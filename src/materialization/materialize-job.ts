/**
 * Materialization: reads the rows of a source's file or query, checks them like events, and writes them like events.
 *
 * Invariants
 * 1. A row's position is (source, run number, index in the data). A job that is taken over, or that follows a failed
 *    one, reads again under the same run number and writes nothing twice. That requires the data to keep its order. A
 *    query is read by event time, so rows that are added meanwhile come last. Different rows at positions that were
 *    already written are refused with BATCH_CHANGED.
 * 2. Successive runs of a source are separated by event time: a row at or before the watermark of earlier runs is
 *    skipped. So reading a grown file, or the same file again, adds only the new rows.
 * 3. Rows go into the event log like events, so a view that begins later receives them.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { FStoreError } from '../errors.js';
import type { Snapshot } from '../registry/snapshot.js';
import type { Job, JobStore, Json } from '../store/job-store.js';
import type { BatchEngine, BatchRun, BatchTotal } from './batch-engine.js';
import type { EventLimits } from './event-decoder.js';
import type { JobContext } from './job-runner.js';
import { sourceContracts } from './source-contract.js';

/** The kind of materialization jobs. */
export const MATERIALIZE_JOB = 'materialize';
/**
 * How many recent jobs of a source are searched for failures since the last success. The newest one that wrote names
 * its run.
 */
const RECENT_JOBS = 1_000;

const STALE_PAUSE = 1_000;

/** The request of a materialization job. */
export interface MaterializeRequest {
  readonly source: string;
  /** The due time of the schedule that submitted it, as ISO 8601; null if a client did. */
  readonly due: string | null;
}

/** The result of a materialization job. */
export interface MaterializeResult {
  /** Rows that were read, that were new, and that became dead letters. */
  readonly read: number;
  readonly written: number;
  readonly deadLetters: number;
  /** Greatest event time that was written so far, as ISO 8601; null if there is none. */
  readonly watermark: string | null;
}

/** What the handler of materialization jobs needs. */
export interface MaterializeWork {
  readonly jobs: JobStore;
  readonly limits: EventLimits;
  readonly engine: BatchEngine;
  snapshot(): Promise<Snapshot>;
}

/**
 * Submits a materialization and returns its job. Only one job of a source is unfinished at a time, and each due time
 * gets one job, whatever its outcome. Throws SOURCE_UNKNOWN or SOURCE_NOT_BATCH.
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

/** Where a job continues: with rows whose event time is after `since` (milliseconds), at the positions of `run`. */
interface StartingPoint {
  readonly run: number;
  readonly since: number | null;
}

/**
 * Returns where a job starts. A job that failed or was cancelled may have written rows. Its successor reads under the
 * same run number, so those rows have the same positions and are not written again.
 */
async function startingPoint(jobs: JobStore, own: Job, source: string): Promise<StartingPoint> {
  const ofSource = { kind: MATERIALIZE_JOB, key: source };
  const [last] = await jobs.list({ ...ofSource, status: 'SUCCEEDED', limit: 1 });
  const watermark = (last?.result as unknown as MaterializeResult | undefined)?.watermark ?? null;
  const since = watermark === null ? null : Date.parse(watermark);
  let run = own.number;
  for (const job of await jobs.list({ ...ofSource, limit: RECENT_JOBS })) {
    if (job.id === last?.id) break;
    if (job.id === own.id) continue;
    const told = (job.checkpoint as { run?: number } | null)?.run;
    if (told !== undefined) return { run: told, since };
    // It may have written rows and died before its checkpoint was stored: under its own number, or under that of an
    // older job.
    run = job.number;
  }
  return { run, since };
}

/**
 * Runs with the newest definitions. Starts again if a view has begun with newer ones meanwhile. Throws
 * SOURCE_NOT_BATCH.
 */
async function materialize(
  { engine, limits, snapshot }: MaterializeWork,
  source: string,
  run: Omit<BatchRun, 'project' | 'contract'>,
): Promise<BatchTotal> {
  for (;;) {
    run.signal.throwIfAborted();
    const current = await snapshot();
    const contract = sourceContracts(current, limits).get(source);
    if (!contract?.meaning.batch) {
      throw new FStoreError('SOURCE_NOT_BATCH', `source ${source} is not read in batches any more`, {
        field: 'source',
      });
    }
    try {
      return await engine.materialize({ ...run, project: current.project, contract });
    } catch (error) {
      if (!(error instanceof FStoreError) || error.code !== 'DEFINITIONS_STALE') throw error;
      await delay(STALE_PAUSE, undefined, { signal: run.signal });
    }
  }
}

/** Returns the handler of materialization jobs. */
export function createMaterializeHandler(work: MaterializeWork): (job: Job, context: JobContext) => Promise<Json> {
  return async (job, context) => {
    const { source } = job.request as unknown as MaterializeRequest;
    const known = context.checkpoint as { run?: number } | null;
    const start = await startingPoint(work.jobs, job, source);
    const run = known?.run ?? start.run;
    // Store the run number before the first row is written.
    context.report({ done: 0, total: null }, { run });
    const { newest, ...counts } = await materialize(work, source, {
      run,
      since: start.since,
      signal: context.signal,
      report: (progress) => context.report(progress, { run }),
    });
    const watermark = Math.max(start.since ?? Number.NEGATIVE_INFINITY, newest ?? Number.NEGATIVE_INFINITY);
    const result: MaterializeResult = {
      ...counts,
      watermark: Number.isFinite(watermark) ? new Date(watermark).toISOString() : null,
    };
    return result as unknown as Json;
  };
}
