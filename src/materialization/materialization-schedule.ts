/**
 * Submits scheduled materializations when they are due.
 *
 * Every worker checks the schedules. The job store accepts one job for each due time of a source, whichever worker
 * submits it first and however that job ends. While a job that a client submitted is unfinished, the source's due time
 * waits.
 */
import { Cron } from 'croner';
import type { Source } from '../definition/definition.js';
import type { Snapshot } from '../registry/snapshot.js';
import type { Job, JobStore } from '../store/job-store.js';
import { MATERIALIZE_JOB, type MaterializeRequest, submitMaterialization } from './materialize-job.js';

/** How many recent jobs of a source are searched for the last one that its schedule submitted. */
const RECENT_JOBS = 50;

/** The dependencies of a MaterializationSchedule. */
export interface MaterializationScheduleOptions {
  readonly jobs: JobStore;
  readonly snapshot: () => Snapshot;
  readonly now: () => number;
  /** Milliseconds between two checks; 5,000 by default. */
  readonly interval?: number;
  readonly log?: (message: string, fields: Record<string, unknown>) => void;
}

/**
 * Returns the last time at or before `now` (milliseconds since 1970) at which a cron expression in UTC is due, or null.
 */
export function lastDue(cron: string, now: number): Date | null {
  const job = new Cron(cron, { timezone: 'UTC', paused: true });
  const [previous] = job.previousRuns(1, new Date(now + 1));
  return previous ?? null;
}

function dueOf({ request }: Job): string | null {
  return (request as unknown as MaterializeRequest).due;
}

/** Submits materializations by the schedules of their sources. */
export class MaterializationSchedule {
  readonly #options: Required<MaterializationScheduleOptions>;
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<unknown> = Promise.resolve();
  readonly #startedAt: number;
  /** The last due time of each source that this process knows to be submitted, in milliseconds since 1970. */
  readonly #submitted = new Map<string, number>();
  #stopped = false;

  constructor(options: MaterializationScheduleOptions) {
    this.#options = { interval: 5_000, log: () => {}, ...options };
    this.#startedAt = options.now();
  }

  /** Checks periodically. */
  start(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.look().catch((error: Error) => {
        this.#options.log('the schedule could not be looked at; it is tried again', { error: error.message });
      });
      void this.#looking.finally(() => this.start());
    }, this.#options.interval);
  }

  /** Stops checking; resolves when the last check has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#looking;
  }

  /**
   * Submits the jobs that are due. Returns their sources. The first due time of a source that never ran is the first
   * one after this process started.
   */
  async look(): Promise<string[]> {
    const { snapshot, log } = this.#options;
    const current = snapshot();
    const scheduled = [...current.sources.values()].flatMap(({ name, definition }) => {
      const { schedule } = (definition as Source).batch ?? {};
      return schedule ? [{ name, schedule }] : [];
    });
    const submitted: string[] = [];
    for (const { name, schedule } of scheduled) {
      try {
        if (await this.#submitIfDue(current, name, schedule)) submitted.push(name);
      } catch (error) {
        // A schedule that cannot be submitted must not hold up those of other sources.
        log('a materialization could not be submitted; it is tried again', {
          source: name,
          error: (error as Error).message,
        });
      }
    }
    return submitted;
  }

  /** Submits the job of one source. Returns false if it is not due, or if another process has submitted it. */
  async #submitIfDue(current: Snapshot, name: string, schedule: string): Promise<boolean> {
    const { jobs, now, log } = this.#options;
    const due = lastDue(schedule, now());
    if (!due || due.getTime() <= (this.#submitted.get(name) ?? Number.NEGATIVE_INFINITY)) return false;
    const recent = await jobs.list({ kind: MATERIALIZE_JOB, key: name, limit: RECENT_JOBS });
    const before = recent.map(dueOf).find((time) => time !== null);
    const since = before ? Date.parse(before) : this.#startedAt;
    this.#submitted.set(name, since);
    if (due.getTime() <= since) return false;
    const job = await submitMaterialization(jobs, current, name, due.toISOString());
    if (dueOf(job) !== due.toISOString()) return false;
    this.#submitted.set(name, due.getTime());
    log('materialization is due', { source: name, due: due.toISOString(), job: job.id });
    return true;
  }
}
