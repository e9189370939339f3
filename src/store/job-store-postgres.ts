/**
 * Durable jobs in PostgreSQL: one table, one statement for each call, and PostgreSQL's clock for every lease.
 *
 * 1. `lease` selects with FOR UPDATE SKIP LOCKED, so that concurrent processes get different jobs and never wait for
 *    each other.
 * 2. Every statement of an owner names the owner in its WHERE clause. The row lock orders a takeover and a late
 *    statement of the previous owner; the later of the two sees the result of the first.
 * 3. Polling without work writes nothing: an UPDATE of no rows gets no transaction id and writes nothing to the
 *    write-ahead log.
 */
import type pg from 'pg';
import { FStoreError } from '../errors.js';
import { createPool, reachable } from './connection-postgres.js';
import {
  isJobId,
  type Job,
  type JobError,
  type JobProgress,
  type JobStatus,
  type JobStore,
  type Json,
  type LeasedJob,
  MAX_ATTEMPTS,
  unknownJob,
} from './job-store.js';
import { migrate } from './migration-postgres.js';

/** Connection settings of the job store. */
export interface PostgresJobStoreOptions {
  readonly url: string;
  readonly project: string;
  readonly poolSize?: number;
  /**
   * How long a statement may take, in milliseconds; 5,000 by default. It must be much shorter than a lease, so that a
   * lost server is noticed in time.
   */
  readonly timeout?: number;
  readonly log?: (
    level: 'debug' | 'info' | 'warn' | 'error',
    message: string,
    fields?: Record<string, unknown>,
  ) => void;
}

const PROJECT = /^[a-z][a-z0-9_]{0,40}$/;
/** An index entry of PostgreSQL is limited to about 2,700 bytes, and a character takes up to four. */
const MAX_KEY_LENGTH = 512;
const UNFINISHED = `status IN ('QUEUED', 'RUNNING')`;
const RAN_OUT = `status = 'RUNNING' AND lease_until <= statement_timestamp()`;

interface JobRecord {
  uuid: string;
  id: string;
  kind: string;
  status: JobStatus;
  request: Json;
  progress: JobProgress;
  checkpoint: Json;
  result: Json;
  error: JobError | null;
  attempts: number;
  created_at: Date;
  started_at: Date | null;
  finished_at: Date | null;
}

const COLUMNS =
  'uuid, id, kind, status, request, progress, checkpoint, result, error, attempts, created_at, started_at, finished_at';

function toJob({ uuid, id, created_at, started_at, finished_at, ...record }: JobRecord): Job {
  return {
    ...record,
    id: uuid,
    number: Number(id),
    createdAt: created_at,
    startedAt: started_at,
    finishedAt: finished_at,
  };
}

/** Connects and migrates the project's schema. Throws STORE_UNAVAILABLE. */
export async function connectPostgresJobStore(options: PostgresJobStoreOptions): Promise<PostgresJobStore> {
  const { url, project, poolSize = 4, timeout = 5_000, log = () => {} } = options;
  if (!PROJECT.test(project)) {
    throw new FStoreError('CONFIG_INVALID', `${project} cannot name a schema`, { field: 'FSTORE_PROJECT' });
  }
  const onError = (error: Error): void => log('warn', 'a connection to PostgreSQL was lost', { error: error.message });
  const schema = `"fstore_${project}"`;
  // Waiting for the migration of another process may take longer than a heartbeat may.
  const patient = createPool({ url, size: 1, onError });
  try {
    await migrate(patient, schema);
  } finally {
    await patient.end();
  }
  const pool = createPool({ url, size: poolSize, statementTimeout: timeout, onError });
  return new PostgresJobStore(pool, `${schema}.jobs`);
}

/** The job store on PostgreSQL. */
export class PostgresJobStore implements JobStore {
  readonly #pool: pg.Pool;
  readonly #table: string;

  /** `table` is the quoted name of the jobs table, with its schema. */
  constructor(pool: pg.Pool, table: string) {
    this.#pool = pool;
    this.#table = table;
  }

  async submit({ kind, request, key, once }: Parameters<JobStore['submit']>[0]): Promise<Job> {
    for (const [field, value] of Object.entries({ key, once })) {
      if (value === undefined || (value.length <= MAX_KEY_LENGTH && !value.includes('\u0000'))) continue;
      const message = `The ${field} of a job has at most ${MAX_KEY_LENGTH} characters, and no U+0000`;
      throw new FStoreError('BAD_REQUEST', message, { field });
    }
    for (;;) {
      // No conflict target, so that a conflict with either unique index counts.
      const [added] = await this.#query<JobRecord>(
        `INSERT INTO ${this.#table} (kind, request, key, once) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING RETURNING ${COLUMNS}`,
        [kind, JSON.stringify(request), key ?? null, once ?? null],
      );
      const [record] = added
        ? [added]
        : await this.#query<JobRecord>(
            `SELECT ${COLUMNS} FROM ${this.#table}
             WHERE kind = $1 AND ((key = $2 AND ${UNFINISHED}) OR once = $3) ORDER BY ${UNFINISHED} DESC LIMIT 1`,
            [kind, key ?? null, once ?? null],
          );
      if (record) return toJob(record);
      // The conflicting job has ended in between; try again.
    }
  }

  async get(id: string): Promise<Job | null> {
    if (!isJobId(id)) return null;
    const [record] = await this.#query<JobRecord>(`SELECT ${COLUMNS} FROM ${this.#table} WHERE uuid = $1`, [id]);
    return record ? toJob(record) : null;
  }

  async list({ kind, key, status, limit }: Parameters<JobStore['list']>[0]): Promise<readonly Job[]> {
    const records = await this.#query<JobRecord>(
      `SELECT ${COLUMNS} FROM ${this.#table}
       WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR status = $2) AND ($4::text IS NULL OR key = $4)
       ORDER BY id DESC LIMIT $3`,
      [kind ?? null, status ?? null, limit, key ?? null],
    );
    return records.map(toJob);
  }

  async cancel(id: string): Promise<Job> {
    const [record] = isJobId(id)
      ? await this.#query<JobRecord>(
          `UPDATE ${this.#table} SET cancel_requested = true,
             status = CASE WHEN status = 'QUEUED' OR ${RAN_OUT} THEN 'CANCELLED' ELSE status END,
             finished_at = CASE WHEN status = 'QUEUED' OR ${RAN_OUT} THEN clock_timestamp() END
           WHERE uuid = $1 AND ${UNFINISHED} RETURNING ${COLUMNS}`,
          [id],
        )
      : [];
    const job = record ? toJob(record) : await this.get(id);
    if (!job) throw unknownJob(id);
    return job;
  }

  async lease(kinds: readonly string[], owner: string, leaseMs: number): Promise<LeasedJob | null> {
    // The same statement ends jobs that nobody may take over any more. Its two parts never select the same row.
    const [record] = await this.#query<JobRecord>(
      `WITH ended AS (
         UPDATE ${this.#table} SET lease_owner = NULL, finished_at = clock_timestamp(),
           status = CASE WHEN cancel_requested THEN 'CANCELLED' ELSE 'FAILED' END,
           error = CASE WHEN cancel_requested THEN error ELSE $5::json END
         WHERE id IN (
           SELECT id FROM ${this.#table}
           WHERE ${UNFINISHED} AND kind = ANY($1) AND ${RAN_OUT} AND (cancel_requested OR attempts >= $4)
           FOR UPDATE SKIP LOCKED
         )
       ), next AS MATERIALIZED (
         SELECT id AS next_id FROM ${this.#table}
         WHERE ${UNFINISHED} AND kind = ANY($1) AND NOT cancel_requested
           AND (status = 'QUEUED' OR (${RAN_OUT} AND attempts < $4))
         ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
       )
       UPDATE ${this.#table} SET status = 'RUNNING', attempts = attempts + 1, lease_owner = $2,
         lease_until = clock_timestamp() + $3::float8 * interval '1 millisecond',
         started_at = coalesce(started_at, clock_timestamp())
       FROM next WHERE id = next_id
       RETURNING ${COLUMNS}`,
      [
        kinds,
        owner,
        leaseMs,
        MAX_ATTEMPTS,
        JSON.stringify({
          code: 'JOB_LOST',
          message: `${MAX_ATTEMPTS} processes that ran it died or stopped answering`,
        } satisfies JobError),
      ],
    );
    return record ? { ...toJob(record), owner } : null;
  }

  async heartbeat(
    id: string,
    owner: string,
    leaseMs: number,
    progress: JobProgress,
    checkpoint: Json | undefined,
  ): Promise<{ readonly cancelled: boolean }> {
    const { cancel_requested } = await this.#asOwner<{ cancel_requested: boolean }>(
      id,
      `UPDATE ${this.#table} SET lease_until = clock_timestamp() + $3::float8 * interval '1 millisecond',
         progress = $4, checkpoint = coalesce($5, checkpoint)
       WHERE uuid = $1 AND lease_owner = $2 AND status = 'RUNNING' RETURNING cancel_requested`,
      [id, owner, leaseMs, JSON.stringify(progress), checkpoint === undefined ? null : JSON.stringify(checkpoint)],
    );
    return { cancelled: cancel_requested };
  }

  finish(id: string, owner: string, result: Json): Promise<void> {
    return this.#end(id, owner, 'SUCCEEDED', 'result', result);
  }

  fail(id: string, owner: string, { code, message }: JobError): Promise<void> {
    return this.#end(id, owner, 'FAILED', 'error', { code, message });
  }

  async release(id: string, owner: string): Promise<void> {
    await this.#asOwner(
      id,
      `UPDATE ${this.#table} SET lease_owner = NULL, lease_until = NULL, attempts = attempts - 1,
         status = CASE WHEN cancel_requested THEN 'CANCELLED' ELSE 'QUEUED' END,
         finished_at = CASE WHEN cancel_requested THEN clock_timestamp() END
       WHERE uuid = $1 AND lease_owner = $2 AND status = 'RUNNING' RETURNING id`,
      [id, owner],
    );
  }

  close(): Promise<void> {
    return this.#pool.end();
  }

  /** Ends a job. A job that this owner has already ended in the same way stays unchanged. */
  async #end(id: string, owner: string, status: JobStatus, column: 'result' | 'error', value: Json): Promise<void> {
    await this.#asOwner(
      id,
      `UPDATE ${this.#table} SET status = $3, ${column} = coalesce(${column}, $4),
         finished_at = coalesce(finished_at, clock_timestamp())
       WHERE uuid = $1 AND lease_owner = $2 AND status IN ('RUNNING', $3) RETURNING id`,
      [id, owner, status, JSON.stringify(value)],
    );
  }

  async #asOwner<R extends pg.QueryResultRow>(id: string, sql: string, values: unknown[]): Promise<R> {
    const [row] = isJobId(id) ? await this.#query<R>(sql, values) : [];
    if (!row) throw new FStoreError('JOB_LEASE_LOST', `Job ${id} has ended or is held by another process`);
    return row;
  }

  async #query<R extends pg.QueryResultRow>(sql: string, values: unknown[]): Promise<R[]> {
    const { rows } = await reachable(() => this.#pool.query<R>(sql, values));
    return rows;
  }
}
