/**
 * The job store port in memory, with a clock that the test may set. It passes the same contract suite as the PostgreSQL
 * adapter.
 */
import { randomUUID } from 'node:crypto';
import { FStoreError } from '../../../src/errors.js';
import {
  type Job,
  type JobError,
  type JobProgress,
  type JobStore,
  type Json,
  type LeasedJob,
  MAX_ATTEMPTS,
  unknownJob,
} from '../../../src/store/job-store.js';

type Entry = { -readonly [Field in keyof Job]: Job[Field] } & {
  key: string | undefined;
  once: string | undefined;
  owner: string | null;
  leaseUntil: number;
  cancelRequested: boolean;
};

/** Copies a value, so that later changes by the caller do not affect the stored one. */
const copy = <T extends Json | JobProgress>(value: T): T => JSON.parse(JSON.stringify(value)) as T;

/** Returns a UUIDv7 of a time in milliseconds. */
function uuidOfTime(ms: number): string {
  const time = ms.toString(16).padStart(12, '0');
  return `${time.slice(0, 8)}-${time.slice(8)}-7${randomUUID().slice(15)}`;
}

/** Keeps jobs in memory. */
export class MemoryJobStore implements JobStore {
  readonly #entries: Entry[] = [];
  readonly #now: () => number;
  /** How often each method was called. */
  readonly calls = { lease: 0, heartbeat: 0 };
  /** While it is set, every call fails with this error. */
  failure: Error | null = null;

  constructor(now = () => Date.now()) {
    this.#now = now;
  }

  async submit({ kind, request, key, once }: Parameters<JobStore['submit']>[0]): Promise<Job> {
    const bad = [key, once].some((one) => one !== undefined && (one.length > 512 || one.includes('\u0000')));
    if (bad) throw new FStoreError('BAD_REQUEST', 'key');
    const same = (one: Entry): boolean =>
      key !== undefined &&
      one.kind === kind &&
      one.key === key &&
      (one.status === 'QUEUED' || one.status === 'RUNNING');
    const done = (one: Entry): boolean => once !== undefined && one.kind === kind && one.once === once;
    const entry: Entry = this.#entries.find(same) ??
      this.#entries.find(done) ?? {
        id: uuidOfTime(this.#now()),
        number: this.#entries.length + 1,
        kind,
        key,
        once,
        status: 'QUEUED',
        request: copy(request),
        progress: { done: 0, total: null },
        checkpoint: null,
        result: null,
        error: null,
        attempts: 0,
        createdAt: new Date(this.#now()),
        startedAt: null,
        finishedAt: null,
        owner: null,
        leaseUntil: 0,
        cancelRequested: false,
      };
    if (!this.#entries.includes(entry)) this.#entries.push(entry);
    return this.#job(entry);
  }

  async get(id: string): Promise<Job | null> {
    const entry = this.#entries.find((one) => one.id === id);
    return entry ? this.#job(entry) : null;
  }

  async list({ kind, key, status, limit }: Parameters<JobStore['list']>[0]): Promise<readonly Job[]> {
    return this.#entries
      .filter((one) => (kind === undefined || one.kind === kind) && (status === undefined || one.status === status))
      .filter((one) => key === undefined || one.key === key)
      .reverse()
      .slice(0, limit)
      .map((one) => this.#job(one));
  }

  async cancel(id: string): Promise<Job> {
    const entry = this.#entries.find((one) => one.id === id);
    if (!entry) throw unknownJob(id);
    entry.cancelRequested = true;
    if (entry.status === 'QUEUED' || this.#ranOut(entry)) this.#end(entry, 'CANCELLED');
    return this.#job(entry);
  }

  async lease(kinds: readonly string[], owner: string, leaseMs: number): Promise<LeasedJob | null> {
    this.calls.lease += 1;
    if (this.failure) throw this.failure;
    for (const entry of this.#entries.filter((one) => kinds.includes(one.kind))) {
      if (entry.status !== 'QUEUED' && !this.#ranOut(entry)) continue;
      if (entry.cancelRequested) this.#end(entry, 'CANCELLED');
      else if (entry.status === 'RUNNING' && entry.attempts >= MAX_ATTEMPTS) {
        entry.error = { code: 'JOB_LOST', message: 'lost' };
        this.#end(entry, 'FAILED');
      } else {
        entry.status = 'RUNNING';
        entry.attempts += 1;
        entry.owner = owner;
        entry.leaseUntil = this.#now() + leaseMs;
        entry.startedAt ??= new Date(this.#now());
        return { ...this.#job(entry), owner };
      }
    }
    return null;
  }

  async heartbeat(
    id: string,
    owner: string,
    leaseMs: number,
    progress: JobProgress,
    checkpoint: Json | undefined,
  ): Promise<{ cancelled: boolean }> {
    this.calls.heartbeat += 1;
    const entry = this.#held(id, owner, 'RUNNING');
    entry.leaseUntil = this.#now() + leaseMs;
    entry.progress = copy(progress);
    if (checkpoint !== undefined) entry.checkpoint = copy(checkpoint);
    return { cancelled: entry.cancelRequested };
  }

  async finish(id: string, owner: string, result: Json): Promise<void> {
    const entry = this.#held(id, owner, 'SUCCEEDED');
    entry.result ??= copy(result);
    this.#end(entry, 'SUCCEEDED', owner);
  }

  async fail(id: string, owner: string, error: JobError): Promise<void> {
    const entry = this.#held(id, owner, 'FAILED');
    entry.error ??= { ...error };
    this.#end(entry, 'FAILED', owner);
  }

  async release(id: string, owner: string): Promise<void> {
    const entry = this.#held(id, owner, 'RUNNING');
    entry.attempts -= 1;
    if (entry.cancelRequested) this.#end(entry, 'CANCELLED');
    else Object.assign(entry, { status: 'QUEUED', owner: null });
  }

  /** Lets the lease of a job expire. */
  async expire(id: string): Promise<void> {
    for (const entry of this.#entries) if (entry.id === id) entry.leaseUntil = 0;
  }

  async close(): Promise<void> {}

  #ranOut(entry: Entry): boolean {
    return entry.status === 'RUNNING' && entry.leaseUntil <= this.#now();
  }

  #held(id: string, owner: string, orEnded: Job['status']): Entry {
    if (this.failure) throw this.failure;
    const entry = this.#entries.find((one) => one.id === id);
    if (!entry || entry.owner !== owner || (entry.status !== 'RUNNING' && entry.status !== orEnded)) {
      throw new FStoreError('JOB_LEASE_LOST', id);
    }
    return entry;
  }

  #end(entry: Entry, status: Job['status'], owner: string | null = null): void {
    if (entry.status !== 'QUEUED' && entry.status !== 'RUNNING') return;
    Object.assign(entry, { status, owner, finishedAt: new Date(this.#now()) });
  }

  #job({ key: _, once: __, owner: ___, leaseUntil: ____, cancelRequested: _____, ...job }: Entry): Job {
    return job;
  }
}
