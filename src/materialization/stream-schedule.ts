/**
 * Ensures that a stream job exists for each source that has views on another engine.
 *
 * Every worker checks this periodically, because a job that ends for lack of work may be needed again by the time it
 * has ended. A cancelled job is submitted again only when the set of views on the engine has changed. A failed job is
 * submitted again when definitions have changed, and by a worker that starts.
 */
import type { Snapshot } from '../registry/snapshot.js';
import type { JobStore } from '../store/job-store.js';
import type { EventLimits } from './event-decoder.js';
import { sourceContracts } from './source-contract.js';
import { engineWork, STREAM_JOB, type StreamRequest } from './stream-job.js';

/** The dependencies of a StreamSchedule. */
export interface StreamScheduleOptions {
  readonly jobs: JobStore;
  readonly limits: EventLimits;
  readonly snapshot: () => Snapshot;
  /** Milliseconds between two checks; 1,000 by default. */
  readonly interval?: number;
  readonly log?: (message: string, fields: Record<string, unknown>) => void;
}

/** Submits stream jobs where they are missing. */
export class StreamSchedule {
  readonly #options: Required<StreamScheduleOptions>;
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<unknown> = Promise.resolve();
  #stopped = false;
  #isFirst = true;
  /** The last snapshot that was examined, and the jobs that it needs. */
  #known: { readonly snapshot: Snapshot; readonly requests: readonly StreamRequest[] } | null = null;

  constructor(options: StreamScheduleOptions) {
    this.#options = { interval: 1_000, log: () => {}, ...options };
  }

  /** Checks at once and then periodically. */
  start(): void {
    if (this.#stopped) return;
    this.#looking = this.look().catch((error: Error) => {
      this.#options.log('streams could not be looked at; it is tried again', { error: error.message });
    });
    void this.#looking.finally(() => {
      if (!this.#stopped) this.#timer = setTimeout(() => this.start(), this.#options.interval);
    });
  }

  /** Stops checking; resolves when the last check has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#looking;
  }

  /** Submits the missing jobs. Returns their sources. */
  async look(): Promise<string[]> {
    const { jobs } = this.#options;
    const submitted: string[] = [];
    for (const { source, views, revision } of this.#requests()) {
      const [last] = await jobs.list({ kind: STREAM_JOB, key: source, limit: 1 });
      if (last) {
        const known = last.request as unknown as StreamRequest;
        if (last.finishedAt === null) continue;
        if (last.status === 'CANCELLED' && JSON.stringify(known.views) === JSON.stringify(views)) continue;
        if (last.status === 'FAILED' && known.revision === revision && !this.#isFirst) continue;
      }
      await jobs.submit({ kind: STREAM_JOB, key: source, request: { source, views, revision } });
      submitted.push(source);
    }
    this.#isFirst = false;
    return submitted;
  }

  /** Returns the jobs that the current snapshot needs. Computed once for each snapshot. */
  #requests(): readonly StreamRequest[] {
    const { limits, snapshot } = this.#options;
    const current = snapshot();
    if (this.#known?.snapshot !== current) {
      const requests = [...sourceContracts(current, limits).values()].flatMap((contract) => {
        const work = engineWork(contract);
        const views = work?.views.map((view) => view.table).sort();
        return views ? [{ source: contract.source, views, revision: current.revision }] : [];
      });
      this.#known = { snapshot: current, requests };
    }
    return this.#known.requests;
  }
}
