/**
 * Materialization: rows of a source's files or tables, checked like events, and written as events are.
 *
 * Invariants
 * 1. A row has its place (source, run, position in what is read). A job that is taken over, or begun again after one that failed, reads
 *    again under the same number and writes nothing twice. What is read keeps its order: a query is read by event time, so what is added
 *    to a table meanwhile comes last; something else at the places that were written is refused with BATCH_CHANGED.
 * 2. Runs of one source follow each other by event time: a row at or before the watermark of the runs before is passed over, so a file that
 *    has grown, or the same file once more, adds what is new and no more.
 * 3. Rows go into the event log like events: a view that begins later has them.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { FStoreError } from '../errors.js';
import type { Snapshot } from '../registry/snapshot.js';
import type { Job, JobStore, Json } from '../store/job-store.js';
import type { BatchEngine, BatchRun, BatchTotal } from './batch-engine.js';
import type { EventLimits } from './event-decoder.js';
import type { JobContext } from './job-runner.js';
import { sourceContracts } from './source-contract.js';

export const MATERIALIZE_JOB = 'materialize';
/** How many jobs of a source are looked through for what failed since it last succeeded; the newest of them that wrote tells the rest. */
const RECENT_JOBS = 1_000;

const STALE_PAUSE = 1_000;

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
  readonly jobs: JobStore;
  readonly limits: EventLimits;
  readonly engine: BatchEngine;
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
  readonly since: number | null;
}

/**
 * A job that failed or was cancelled may have written rows. Whoever comes after it reads under its number: what it has written is at the
 * same places and is not written again.
 */
async function startingPoint(jobs: JobStore, own: Job, source: string): Promise<StartingPoint> {
  const ofSource = { kind: MATERIALIZE_JOB, key: source };
  const [last] = await jobs.list({ ...ofSource, status: 'SUCCEEDED', limit: 1 });
  const watermark = (last?.result as unknown as MaterializeResult | undefined)?.watermark ?? null;
  const since = watermark === null ? null : Date.parse(watermark);
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

/** Runs with the newest definitions; anew, when a view has begun with newer ones meanwhile. Throws SOURCE_NOT_BATCH. */
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

/** Makes the handler of materialization jobs. */
export function createMaterializeHandler(work: MaterializeWork): (job: Job, context: JobContext) => Promise<Json> {
  return async (job, context) => {
    const { source } = job.request as unknown as MaterializeRequest;
    const known = context.checkpoint as { run?: number } | null;
    const start = await startingPoint(work.jobs, job, source);
    const run = known?.run ?? start.run;
    // It says under which number it writes before it writes.
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
