/**
 * Submits materializations when their time has come.
 *
 * Every worker looks; one due time of a source makes one job, whoever looks first: the job of a source is unique while it is unfinished, and
 * a finished one tells for which time it was.
 */
import { Cron } from 'croner';
import type { Source } from '../definition/definition.js';
import type { Snapshot } from '../registry/snapshot.js';
import type { JobStore } from '../store/job-store.js';
import { lastMaterializations, type MaterializeRequest, submitMaterialization } from './materialize-job.js';

export interface MaterializationScheduleOptions {
  readonly jobs: JobStore;
  readonly snapshot: () => Snapshot;
  readonly now: () => number;
  /** Milliseconds between two looks. */
  readonly interval?: number;
  readonly log?: (message: string, fields: Record<string, unknown>) => void;
}

/** The last time at or before `now` (milliseconds since 1970) that a cron in UTC names; null: none within a year. */
export function lastDue(cron: string, now: number): Date | null {
  const job = new Cron(cron, { timezone: 'UTC', paused: true });
  const [previous] = job.previousRuns(1, new Date(now + 1));
  return previous ?? null;
}

export class MaterializationSchedule {
  readonly #options: Required<MaterializationScheduleOptions>;
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<unknown> = Promise.resolve();
  #startedAt: number;
  #stopped = false;

  constructor(options: MaterializationScheduleOptions) {
    this.#options = { interval: 5_000, log: () => {}, ...options };
    this.#startedAt = options.now();
  }

  start(): void {
    if (this.#stopped) return;
    this.#timer = setTimeout(() => {
      this.#looking = this.look().catch((error: Error) => {
        this.#options.log('the schedule could not be looked at; it is tried again', { error: error.message });
      });
      void this.#looking.finally(() => this.start());
    }, this.#options.interval);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#looking;
  }

  /** Submits what is due; returns the sources. A source that never ran waits for its first time after the start. */
  async look(): Promise<string[]> {
    const { jobs, snapshot, now, log } = this.#options;
    const current = snapshot();
    const scheduled = [...current.sources.values()].flatMap(({ name, definition }) => {
      const { schedule } = (definition as Source).batch ?? {};
      return schedule ? [{ name, schedule }] : [];
    });
    if (scheduled.length === 0) return [];
    const last = await lastMaterializations(jobs);
    const submitted: string[] = [];
    for (const { name, schedule } of scheduled) {
      const due = lastDue(schedule, now());
      if (!due) continue;
      const before = (last.get(name)?.request as unknown as MaterializeRequest | undefined)?.due ?? null;
      const since = before === null ? this.#startedAt : Date.parse(before);
      if (due.getTime() <= since) continue;
      const job = await submitMaterialization(jobs, current, name, due.toISOString());
      submitted.push(name);
      log('materialization is due', { source: name, due: due.toISOString(), job: job.id });
    }
    return submitted;
  }
}
