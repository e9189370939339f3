/**
 * Port: long work that outlives requests and processes. A job is a row that processes lease, report on and hand over.
 *
 * Invariants that every adapter holds (test/contract/job-store.test.ts)
 * 1. At most one lease of a job is valid at any time, by the store's clock. An owner that lost its lease can change
 *    nothing of the job.
 * 2. A job whose lease expired is taken over with its last checkpoint. After `MAX_ATTEMPTS` lost leases it fails with
 *    JOB_LOST.
 * 3. At most one job of a (kind, key) is unfinished. A finished job never changes again.
 * 4. A job whose cancellation was requested is never leased again.
 * 5. At most one job of a (kind, once) exists, finished or not.
 * 6. Only the UUID of a job names it. Any other text is the id of no job, and never an error of the store.
 */
import { FStoreError } from '../errors.js';

/** How many processes may lose the lease of a job before it fails. */
export const MAX_ATTEMPTS = 5;

/** A JSON value. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** The states of a job; the last three are final. */
export type JobStatus = 'QUEUED' | 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'CANCELLED';

/** The progress of a job, in the unit that its kind counts. `total` is null if it is not known. */
export interface JobProgress {
  readonly done: number;
  readonly total: number | null;
  readonly note?: string;
  /** The last log lines of an engine, oldest first. */
  readonly log?: readonly string[];
}

/** Why a job failed. */
export interface JobError {
  readonly code: string;
  readonly message: string;
}

/** A job as the store keeps it. */
export interface Job {
  /** The public id: a UUIDv7 in lower case. It cannot be guessed, and ids sort by the millisecond of creation. */
  readonly id: string;
  /** Counts the jobs of a store. Only FStore sees it: jobs are leased in its order, and it numbers runs of a source. */
  readonly number: number;
  readonly kind: string;
  readonly status: JobStatus;
  readonly request: Json;
  readonly progress: JobProgress;
  /** The last checkpoint that its handler reported; null if it starts from the beginning. */
  readonly checkpoint: Json;
  readonly result: Json;
  readonly error: JobError | null;
  /** How many leases it had, without those that were given back. */
  readonly attempts: number;
  readonly createdAt: Date;
  /** When it was first leased. */
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

/**
 * A job leased by `owner`. The name identifies one lease, so a process that leases twice needs two names (invariant 1).
 */
export interface LeasedJob extends Job {
  readonly owner: string;
}

const JOB_ID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/;

/** Returns whether a text has the form of a job's id. */
export function isJobId(id: string): boolean {
  return JOB_ID.test(id);
}

/** Returns JOB_UNKNOWN for the id that a client gave in `field`. `what` names what is missing: a job, a training set. */
export function unknownJob(id: string, what = 'job', field = 'id'): FStoreError {
  return new FStoreError('JOB_UNKNOWN', `there is no ${what} ${id.slice(0, 80)}`, { field });
}

/** Stores jobs and grants leases on them. */
export interface JobStore {
  /**
   * Queues a job and returns it. If the kind already has an unfinished job of the same `key`, or any job of the same
   * `once`, returns that one instead. Throws BAD_REQUEST.
   */
  submit(job: {
    readonly kind: string;
    readonly request: Json;
    readonly key?: string | undefined;
    readonly once?: string | undefined;
  }): Promise<Job>;
  /** Returns a job, or null if no job has this id. */
  get(id: string): Promise<Job | null>;
  /** Returns the jobs that match, newest first. */
  list(filter: {
    kind?: string | undefined;
    key?: string | undefined;
    status?: JobStatus | undefined;
    limit: number;
  }): Promise<readonly Job[]>;
  /**
   * Cancels a job: at once if nobody holds it, otherwise its owner learns it at the next heartbeat. Throws JOB_UNKNOWN.
   */
  cancel(id: string): Promise<Job>;
  /** Leases the oldest job of these kinds that is queued or whose lease expired. Returns null if there is none. */
  lease(kinds: readonly string[], owner: string, leaseMs: number): Promise<LeasedJob | null>;
  /**
   * Extends the lease and stores the progress. The stored checkpoint is kept if `checkpoint` is undefined. Throws
   * JOB_LEASE_LOST.
   */
  heartbeat(
    id: string,
    owner: string,
    leaseMs: number,
    progress: JobProgress,
    checkpoint: Json | undefined,
  ): Promise<{ readonly cancelled: boolean }>;
  /**
   * Ends a job with its result. May be repeated by the same owner, because an answer may get lost. Throws
   * JOB_LEASE_LOST.
   */
  finish(id: string, owner: string, result: Json): Promise<void>;
  /** Ends a job with an error, under the rules of `finish`. */
  fail(id: string, owner: string, error: JobError): Promise<void>;
  /**
   * Gives the lease back without counting it as an attempt. Ends the job if its cancellation was requested. Throws
   * JOB_LEASE_LOST.
   */
  release(id: string, owner: string): Promise<void>;
  close(): Promise<void>;
}
