/**
 * Has a job for each source with views on another engine.
 *
 * Every worker looks, again and again: a job that ends because there is nothing to do may have been asked for again while it ended. A
 * cancelled one stays cancelled until other views are on the engine; a failed one is asked for again when definitions have changed, and
 * by a worker that starts.
 */
import type { Snapshot } from '../registry/snapshot.js';
import type { JobStore } from '../store/job-store.js';
import type { EventLimits } from './event-decoder.js';
import { sourceContracts } from './source-contract.js';
import { engineWork, STREAM_JOB, type StreamRequest } from './stream-job.js';

export interface StreamScheduleOptions {
  readonly jobs: JobStore;
  readonly limits: EventLimits;
  readonly snapshot: () => Snapshot;
  /** Milliseconds between two looks. */
  readonly interval?: number;
  readonly log?: (message: string, fields: Record<string, unknown>) => void;
}

export class StreamSchedule {
  readonly #options: Required<StreamScheduleOptions>;
  #timer: NodeJS.Timeout | null = null;
  #looking: Promise<unknown> = Promise.resolve();
  #stopped = false;
  #isFirst = true;
  /** The snapshot that was looked at last, and what it has for other engines. */
  #known: { readonly snapshot: Snapshot; readonly requests: readonly StreamRequest[] } | null = null;

  constructor(options: StreamScheduleOptions) {
    this.#options = { interval: 1_000, log: () => {}, ...options };
  }

  start(): void {
    if (this.#stopped) return;
    this.#looking = this.look().catch((error: Error) => {
      this.#options.log('streams could not be looked at; it is tried again', { error: error.message });
    });
    void this.#looking.finally(() => {
      if (!this.#stopped) this.#timer = setTimeout(() => this.start(), this.#options.interval);
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#looking;
  }

  /** Submits what is missing; returns the sources. */
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

  /** What is to be asked for; worked out once for each snapshot. */
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
