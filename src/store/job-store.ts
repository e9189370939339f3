/**
 * Port: long work that outlives requests and processes, as rows that processes lease, report on and hand over.
 *
 * Invariants that every adapter holds (test/contract/job-store.test.ts)
 * 1. At any time at most one lease of a job is good, by the store's clock; whoever lost it can change nothing of the job.
 * 2. A job whose lease ran out is taken over with its last checkpoint; after `MAX_ATTEMPTS` lost leases it fails with JOB_LOST.
 * 3. Of one (kind, key) at most one job is unfinished. A finished job never changes again.
 * 4. A job that somebody asked to cancel is never leased again.
 * 5. Of one (kind, once) there is at most one job, finished or not.
 */

export const MAX_ATTEMPTS = 5;

export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

export type JobStatus = 'QUEUED' | 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'CANCELLED';

/** How far a job is, in whatever unit its kind counts; `total` null: not known. */
export interface JobProgress {
  readonly done: number;
  readonly total: number | null;
  readonly note?: string;
  /** The last lines of what an engine said, oldest first. */
  readonly log?: readonly string[];
}

export interface JobError {
  readonly code: string;
  readonly message: string;
}

export interface Job {
  readonly id: string;
  readonly kind: string;
  readonly status: JobStatus;
  readonly request: Json;
  readonly progress: JobProgress;
  /** What its handler wrote down last to go on from; null: it begins at the beginning. */
  readonly checkpoint: Json;
  readonly result: Json;
  readonly error: JobError | null;
  /** How often it was leased, but for leases that were given back. */
  readonly attempts: number;
  readonly createdAt: Date;
  /** When it was leased first. */
  readonly startedAt: Date | null;
  readonly finishedAt: Date | null;
}

/** A job in the hands of `owner`, which names this one lease: an owner that leases twice needs two names (invariant 1). */
export interface LeasedJob extends Job {
  readonly owner: string;
}

export interface JobStore {
  /**
   * Queues a job; returns the unfinished job of the same kind and `key` instead, or else the one of the same kind and `once`, if
   * there is one. Throws BAD_REQUEST.
   */
  submit(job: {
    readonly kind: string;
    readonly request: Json;
    readonly key?: string | undefined;
    readonly once?: string | undefined;
  }): Promise<Job>;
  get(id: string): Promise<Job | null>;
  /** Newest first. */
  list(filter: {
    kind?: string | undefined;
    key?: string | undefined;
    status?: JobStatus | undefined;
    limit: number;
  }): Promise<readonly Job[]>;
  /** Ends a job that nobody holds at once; a held one is told at its next heartbeat. Throws JOB_UNKNOWN. */
  cancel(id: string): Promise<Job>;
  /** The oldest job of these kinds that is queued or whose lease ran out; null: there is none. */
  lease(kinds: readonly string[], owner: string, leaseMs: number): Promise<LeasedJob | null>;
  /** Prolongs the lease; `checkpoint` undefined: it stays as it was. Throws JOB_LEASE_LOST. */
  heartbeat(
    id: string,
    owner: string,
    leaseMs: number,
    progress: JobProgress,
    checkpoint: Json | undefined,
  ): Promise<{ readonly cancelled: boolean }>;
  /** Throws JOB_LEASE_LOST; may be repeated by the same owner, who cannot know whether a lost answer was a yes. */
  finish(id: string, owner: string, result: Json): Promise<void>;
  /** As `finish`. */
  fail(id: string, owner: string, error: JobError): Promise<void>;
  /** Gives the lease back without counting it; ends the job if somebody asked to cancel it. Throws JOB_LEASE_LOST. */
  release(id: string, owner: string): Promise<void>;
  close(): Promise<void>;
}
