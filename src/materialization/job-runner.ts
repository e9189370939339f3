/**
 * Job: runs the jobs of the kinds that this process knows, a few at a time, and keeps their leases meanwhile.
 *
 * Invariants
 * 1. A handler's signal is aborted as soon as its job is cancelled or this process stops, and before another process can
 *    take the job over: a lease counts from before it was asked for, by this process's clock.
 * 2. Heartbeats go on for as long as the handler runs, aborted or not, until the lease is lost.
 * 3. A handler that returns has done its work, and its job succeeds, cancelled or not. One that throws after its signal
 *    was aborted has ended because of it, and its job is given back; the store ends it if it was cancelled.
 * 4. The last report of a handler is stored before its job ends or is given back.
 * 5. A full runner asks for no job; one with room asks every `pollMs`, and at once after it was given one or a job has ended.
 */
import { randomUUID } from 'node:crypto';
import { FStoreError } from '../errors.js';
import type { Job, JobError, JobProgress, JobStore, Json, LeasedJob } from '../store/job-store.js';

export interface JobContext {
  /** Aborted when the job is cancelled, this process stops, or the lease was lost. The handler then throws, and soon. */
  readonly signal: AbortSignal;
  /**
   * Says how far the job is and, with `checkpoint`, where to go on after a restart. May be called often: what is stored
   * is the latest, once a second. Throws for what is not JSON.
   */
  report(progress: JobProgress, checkpoint?: Json): void;
  /** The checkpoint of the process that had the job before; null: begin at the beginning. */
  readonly checkpoint: Json;
}

/** Does the work and returns the result. It may run again from its checkpoint, so what it does must bear repeating. */
export type JobHandler = (job: Job, context: JobContext) => Promise<Json>;

export interface JobRunnerOptions {
  readonly jobs: JobStore;
  /** Names this process in the names of its leases. */
  readonly owner: string;
  readonly handlers: Readonly<Record<string, JobHandler>>;
  /** How many jobs run at the same time; default: 1. */
  readonly concurrency?: number;
  readonly leaseMs?: number;
  readonly pollMs?: number;
  readonly log?: (message: string, fields: Record<string, unknown>) => void;
}

const RETRY_PAUSE = 1_000;
const REPORT_PAUSE = 1_000;
/** Heartbeats in one lease: two may fail before it is lost. */
const BEATS = 3;
const MAX_MESSAGE_LENGTH = 2_000;

export class JobRunner {
  readonly #options: Required<JobRunnerOptions>;
  readonly #kinds: readonly string[];
  readonly #runs = new Map<JobRun, Promise<void>>();
  #looping: Promise<void> | null = null;
  #stopped = false;
  #wake: () => void = () => {};

  constructor(options: JobRunnerOptions) {
    this.#options = { concurrency: 1, leaseMs: 30_000, pollMs: 500, log: () => {}, ...options };
    this.#kinds = Object.keys(options.handlers);
  }

  start(): void {
    this.#looping ??= this.#loop();
  }

  /** Aborts the handlers, waits until they have ended, and gives their jobs back. A stopped runner does not start again. */
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
        this.#options.log('jobs cannot be leased; it is tried again', { error: error.message });
        return Math.max(pollMs, RETRY_PAUSE);
      });
      if (pause > 0) await this.#pause(pause);
    }
  }

  /** Leases a job and begins to run it. Returns how long to wait before the next. */
  async #take(): Promise<number> {
    const { jobs, owner, leaseMs, pollMs } = this.#options;
    const leasedAt = performance.now();
    // A name of its own for each lease: two slots of one process are as foreign to each other as two processes.
    const job = await jobs.lease(this.#kinds, `${owner}/${randomUUID()}`, leaseMs);
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

  /** Waits until the time is over (null: without end), a run has ended, or the runner stops. */
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
  /** What the store does not have yet. */
  #checkpoint: Json | undefined;
  #reported = false;
  /** When the last heartbeat that may have arrived was sent, and the last one that did. */
  #sentAt: number;
  #heldSince: number;
  #beatTimer: NodeJS.Timeout | null = null;
  #lossTimer: NodeJS.Timeout | null = null;
  #beating: Promise<void> | null = null;
  #lost = false;
  #ended = false;

  constructor(options: Required<JobRunnerOptions>, job: LeasedJob, leasedAt: number) {
    this.#options = options;
    this.#job = job;
    this.#progress = job.progress;
    this.#sentAt = leasedAt;
    this.#heldSince = leasedAt;
  }

  abort(reason: string): void {
    this.#controller.abort(new Error(reason));
  }

  async run(): Promise<void> {
    this.#log('job started', { attempt: this.#job.attempts });
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

  /** Runs the handler. Returns what is to be told to the store. */
  async #handle(): Promise<() => Promise<void>> {
    const { jobs, handlers } = this.#options;
    const { id, kind, owner, checkpoint } = this.#job;
    const { signal } = this.#controller;
    try {
      if (signal.aborted) throw signal.reason;
      const context: JobContext = { signal, checkpoint, report: (progress, next) => this.#report(progress, next) };
      const result = asJson(await handlers[kind]!(this.#job, context));
      return async () => {
        // Even of a lease that seems lost: if nobody has taken the job over, the store accepts its result.
        await jobs.finish(id, owner, result);
        this.#log('job succeeded');
      };
    } catch (error) {
      if (signal.aborted) {
        return async () => {
          if (this.#lost) return;
          await jobs.release(id, owner);
          this.#log('job given back', { reason: (signal.reason as Error).message });
        };
      }
      const failure = asJobError(error);
      return async () => {
        await jobs.fail(id, owner, failure);
        this.#log('job failed', { ...failure, stack: (error as Error | null)?.stack });
      };
    }
  }

  /** Tells the store how the job ended; if it cannot be reached, again and again for as long as the lease is held. */
  async #untilReached(settle: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await settle();
      } catch (error) {
        this.#log('the end of a job was not stored', { error: (error as Error).message });
        if (this.#lost || codeOf(error) !== 'STORE_UNAVAILABLE') return;
        await new Promise((resolve) => setTimeout(resolve, RETRY_PAUSE));
      }
    }
  }

  #report(progress: JobProgress, checkpoint?: Json): void {
    // A copy: the handler may go on to change its own.
    this.#progress = asJson({ ...progress }) as unknown as JobProgress;
    if (checkpoint !== undefined) this.#checkpoint = asJson(checkpoint);
    this.#reported = true;
    this.#planBeat();
  }

  /** Sets the time of the next heartbeat: soon if there is something to tell, or else in time to keep the lease. */
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
      if (cancelled) this.abort('the job was cancelled');
    } catch (error) {
      if (codeOf(error) === 'JOB_LEASE_LOST') return this.#lose();
      this.#checkpoint ??= checkpoint;
      this.#reported = true;
      this.#log('a heartbeat failed; it is tried again', { error: (error as Error).message });
    }
  }

  /** Gives the lease up at the moment when, at the earliest, another process may have it. */
  #awaitLoss(): void {
    if (this.#lossTimer) clearTimeout(this.#lossTimer);
    const until = this.#heldSince + this.#options.leaseMs;
    this.#lossTimer = setTimeout(() => this.#lose(), Math.max(0, until - performance.now()));
  }

  #lose(): void {
    if (this.#lost) return;
    this.#lost = true;
    if (this.#beatTimer) clearTimeout(this.#beatTimer);
    this.#log('the lease of a job was lost');
    this.abort('the lease was lost');
  }

  #log(message: string, fields: Record<string, unknown> = {}): void {
    this.#options.log(message, { job: this.#job.id, kind: this.#job.kind, ...fields });
  }
}

/** A copy that is JSON; nothing is null. Throws for what JSON cannot hold. */
function asJson(value: unknown): Json {
  return JSON.parse(JSON.stringify(value ?? null)) as Json;
}

function codeOf(error: unknown): string | null {
  return error instanceof FStoreError ? error.code : null;
}

/** What is shown of a failure. Some libraries put a stack into the message; it stays in the log. */
function asJobError(error: unknown): JobError {
  const message = error instanceof Error ? error.message : `${error}`;
  const shown = message.split(/\n\s+at /)[0]!.slice(0, MAX_MESSAGE_LENGTH);
  return { code: codeOf(error) ?? 'INTERNAL', message: shown || 'no reason given' };
}
