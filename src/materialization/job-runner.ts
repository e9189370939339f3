/**
 * Runs the jobs of the kinds that this process has handlers for, a few at a time, and renews their leases meanwhile.
 *
 * Invariants
 * 1. A handler's signal is aborted as soon as its job is cancelled or this process stops, and before another process
 *    can take the job over. To ensure that, a lease counts from before the request for it, by this process's clock.
 * 2. Heartbeats continue until the handler ends or the lease is lost, even after the signal is aborted.
 * 3. A handler that returns has completed its job, even if the job was cancelled. A handler that throws after an abort
 *    gives its job back; the store ends that job if it was cancelled.
 * 4. The last report of a handler is stored before its job ends or is given back.
 * 5. A runner at its limit leases no job. Otherwise it asks every `pollMs`, and at once after it got a job or a job
 *    ended.
 */
import { randomUUID } from 'node:crypto';
import { FStoreError } from '../errors.js';
import type { Job, JobError, JobProgress, JobStore, Json, LeasedJob } from '../store/job-store.js';
import { systemError } from '../system-error.js';

/** What a job runner provides to a handler. */
export interface JobContext {
  /** Aborted when the job is cancelled, this process stops, or the lease is lost. The handler must then throw soon. */
  readonly signal: AbortSignal;
  /**
   * Reports progress and, with `checkpoint`, where to continue after a restart. May be called often; the latest report
   * is stored once a second. Throws if a value cannot be represented in JSON.
   */
  report(progress: JobProgress, checkpoint?: Json): void;
  /** The last checkpoint of the process that ran the job before; null if the job starts from the beginning. */
  readonly checkpoint: Json;
}

/**
 * Does the work of a job and returns its result. It may run again from its checkpoint, so the work must be repeatable.
 */
export type JobHandler = (job: Job, context: JobContext) => Promise<Json>;

/** The handlers of a JobRunner and its timing. */
export type JobLog = (level: 'info' | 'warn' | 'error', message: string, fields: Record<string, unknown>) => void;

export interface JobRunnerOptions {
  readonly jobs: JobStore;
  /** Name of this process, part of the name under which it leases jobs. */
  readonly owner: string;
  readonly handlers: Readonly<Record<string, JobHandler>>;
  /** How many jobs run at the same time; 1 by default. */
  readonly concurrency?: number;
  /** How long a lease lasts without a heartbeat, in milliseconds; 30,000 by default. */
  readonly leaseMs?: number;
  /** How long an idle runner waits between two requests for a job, in milliseconds; 500 by default. */
  readonly pollMs?: number;
  readonly log?: JobLog;
}

const RETRY_PAUSE = 1_000;
const REPORT_PAUSE = 1_000;
/** Heartbeats in one lease. Two of them may fail before the lease is lost. */
const BEATS = 3;
const MAX_MESSAGE_LENGTH = 2_000;

/** Leases jobs and runs them until it is stopped. */
export class JobRunner {
  readonly #options: Required<JobRunnerOptions>;
  readonly #kinds: readonly string[];
  readonly #runs = new Map<JobRun, Promise<void>>();
  #looping: Promise<void> | null = null;
  #stopped = false;
  #wake: () => void = () => {};
  /** Whether the last attempt to lease a job failed. */
  #failing = false;

  constructor(options: JobRunnerOptions) {
    this.#options = { concurrency: 1, leaseMs: 30_000, pollMs: 500, log: () => {}, ...options };
    this.#kinds = Object.keys(options.handlers);
  }

  /** Starts to lease jobs; does nothing if it has started already. */
  start(): void {
    this.#looping ??= this.#loop();
  }

  /**
   * Aborts all handlers, waits until they have ended, and gives their jobs back. A stopped runner cannot start again.
   */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const run of this.#runs.keys()) run.abort('this process stops');
    this.#wake();
    await this.#looping;
    await Promise.all(this.#runs.values());
  }

  async #loop(): Promise<void> {
    const { concurrency, pollMs } = this.#options;
    while (!this.#stopped) {
      if (this.#runs.size >= concurrency) {
        await this.#pause(null);
        continue;
      }
      const pause = await this.#take().catch((error: Error) => {
        if (!this.#failing) this.#options.log('warn', 'jobs cannot be leased; FStore tries again', { err: error });
        this.#failing = true;
        return Math.max(pollMs, RETRY_PAUSE);
      });
      if (pause > 0) await this.#pause(pause);
    }
  }

  /** Leases a job and starts to run it. Returns how long to wait before the next request, in milliseconds. */
  async #take(): Promise<number> {
    const { jobs, owner, leaseMs, pollMs } = this.#options;
    const leasedAt = performance.now();
    // Each lease has its own name, so that two slots of one process cannot mistake each other's lease for their own.
    const job = await jobs.lease(this.#kinds, `${owner}/${randomUUID()}`, leaseMs);
    if (this.#failing) this.#options.log('info', 'jobs can be leased again', {});
    this.#failing = false;
    if (!job) return pollMs;
    const run = new JobRun(this.#options, job, leasedAt);
    if (this.#stopped) run.abort('this process stops');
    const ended = run.run().finally(() => {
      this.#runs.delete(run);
      this.#wake();
    });
    this.#runs.set(run, ended);
    return 0;
  }

  /** Waits until the time is over (null: without limit), a run has ended, or the runner stops. */
  #pause(ms: number | null): Promise<void> {
    if (this.#stopped) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = ms === null ? null : setTimeout(resolve, ms);
      this.#wake = () => {
        if (timer) clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** One lease of one job, from its first heartbeat to its end. */
class JobRun {
  readonly #options: Required<JobRunnerOptions>;
  readonly #job: LeasedJob;
  readonly #controller = new AbortController();
  #progress: JobProgress;
  /** The newest checkpoint that the store does not have yet. */
  #checkpoint: Json | undefined;
  #reported = false;
  /** When the newest heartbeat was sent, and when the newest one that succeeded was sent. */
  #sentAt: number;
  #heldSince: number;
  readonly #begun: number;
  #beatTimer: NodeJS.Timeout | null = null;
  #lossTimer: NodeJS.Timeout | null = null;
  #beating: Promise<void> | null = null;
  #lost = false;
  #ended = false;
  #cancelled = false;

  constructor(options: Required<JobRunnerOptions>, job: LeasedJob, leasedAt: number) {
    this.#options = options;
    this.#job = job;
    this.#progress = job.progress;
    this.#sentAt = leasedAt;
    this.#heldSince = leasedAt;
    this.#begun = leasedAt;
  }

  abort(reason: string): void {
    this.#controller.abort(new Error(reason));
  }

  async run(): Promise<void> {
    this.#log('info', 'job started', { attempts: this.#job.attempts });
    this.#awaitLoss();
    this.#planBeat();
    const settle = await this.#handle();
    this.#ended = true;
    if (this.#beatTimer) clearTimeout(this.#beatTimer);
    await this.#beating;
    if (this.#reported && !this.#lost) await this.#beat();
    await this.#untilReached(settle);
    if (this.#lossTimer) clearTimeout(this.#lossTimer);
  }

  /** Runs the handler. Returns a function that stores how the job ended. */
  async #handle(): Promise<() => Promise<void>> {
    const { jobs, handlers } = this.#options;
    const { id, kind, owner, checkpoint } = this.#job;
    const { signal } = this.#controller;
    try {
      if (signal.aborted) throw signal.reason;
      const context: JobContext = { signal, checkpoint, report: (progress, next) => this.#report(progress, next) };
      const result = asJson(await handlers[kind]!(this.#job, context));
      return async () => {
        // Finishes even if the lease seems lost: the store accepts the result unless another process has the job.
        await jobs.finish(id, owner, result);
        this.#log('info', 'job succeeded', this.#end());
      };
    } catch (error) {
      if (signal.aborted) {
        return async () => {
          if (this.#lost) return;
          await jobs.release(id, owner);
          const { message: reason } = signal.reason as Error;
          if (this.#cancelled) this.#log('info', 'job cancelled', this.#end());
          else this.#log('info', 'job given back', { reason, ...this.#end() });
        };
      }
      const failure = asJobError(error);
      return async () => {
        await jobs.fail(id, owner, failure);
        // A failure that has a code needs no stack.
        const details = failure.code === 'INTERNAL' ? { err: error } : {};
        this.#log('error', 'job failed', { code: failure.code, reason: failure.message, ...this.#end(), ...details });
      };
    }
  }

  /** Stores how the job ended. Retries while the store is unavailable, for as long as the lease is held. */
  async #untilReached(settle: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await settle();
      } catch (error) {
        this.#log('warn', 'the end of a job was not stored', { error: (error as Error).message });
        if (this.#lost || !codeOf(error)?.startsWith('STORE_')) return;
        await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE));
      }
    }
  }

  #report(progress: JobProgress, checkpoint?: Json): void {
    // A copy, because the handler may change its own object.
    this.#progress = asJson({ ...progress }) as unknown as JobProgress;
    if (checkpoint !== undefined) this.#checkpoint = asJson(checkpoint);
    this.#reported = true;
    this.#planBeat();
  }

  /** Schedules the next heartbeat: soon if there is something to report, otherwise in time to keep the lease. */
  #planBeat(): void {
    if (this.#beating || this.#ended || this.#lost) return;
    if (this.#beatTimer) clearTimeout(this.#beatTimer);
    const longest = this.#options.leaseMs / BEATS;
    const due = this.#sentAt + (this.#reported ? Math.min(REPORT_PAUSE, longest) : longest);
    this.#beatTimer = setTimeout(
      () => {
        this.#beating = this.#beat().finally(() => {
          this.#beating = null;
          this.#planBeat();
        });
      },
      Math.max(0, due - performance.now()),
    );
  }

  async #beat(): Promise<void> {
    const checkpoint = this.#checkpoint;
    this.#sentAt = performance.now();
    this.#checkpoint = undefined;
    this.#reported = false;
    const sentAt = this.#sentAt;
    const { jobs, leaseMs } = this.#options;
    try {
      const { cancelled } = await jobs.heartbeat(this.#job.id, this.#job.owner, leaseMs, this.#progress, checkpoint);
      this.#heldSince = sentAt;
      this.#awaitLoss();
      if (cancelled) {
        this.#cancelled = true;
        this.abort('the job was cancelled');
      }
    } catch (error) {
      if (codeOf(error) === 'JOB_LEASE_LOST') return this.#lose();
      this.#checkpoint ??= checkpoint;
      this.#reported = true;
      this.#log('warn', 'a heartbeat failed; FStore tries again', { error: (error as Error).message });
    }
  }

  /** Schedules the loss of the lease at the earliest moment at which another process could take the job over. */
  #awaitLoss(): void {
    if (this.#lossTimer) clearTimeout(this.#lossTimer);
    const until = this.#heldSince + this.#options.leaseMs;
    this.#lossTimer = setTimeout(() => this.#lose(), Math.max(0, until - performance.now()));
  }

  #lose(): void {
    if (this.#lost) return;
    this.#lost = true;
    if (this.#beatTimer) clearTimeout(this.#beatTimer);
    this.#log('warn', 'the lease of a job was lost');
    this.abort('the lease was lost');
  }

  /** What the log says of every end of a job. */
  #end(): Record<string, unknown> {
    const durationMs = Math.round(performance.now() - this.#begun);
    return { durationMs, attempts: this.#job.attempts, rows: this.#progress.done };
  }

  #log(level: 'info' | 'warn' | 'error', message: string, fields: Record<string, unknown> = {}): void {
    this.#options.log(level, message, { job: this.#job.id, kind: this.#job.kind, ...fields });
  }
}

/** Returns a copy of a value as JSON; undefined becomes null. Throws for values that JSON cannot represent. */
function asJson(value: unknown): Json {
  return JSON.parse(JSON.stringify(value ?? null)) as Json;
}

function codeOf(error: unknown): string | null {
  return error instanceof FStoreError ? error.code : null;
}

/**
 * Returns the part of an error that clients see. Some libraries put a stack into the message; the stack is only logged.
 */
function asJobError(thrown: unknown): JobError {
  const error = systemError(thrown, 'reason') ?? thrown;
  const message = error instanceof Error ? error.message : `${error}`;
  const shown = message.split(/\n\s+at /)[0]!.slice(0, MAX_MESSAGE_LENGTH);
  return { code: codeOf(error) ?? 'INTERNAL', message: shown || 'no reason given' };
}
