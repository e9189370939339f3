/**
 * The job that computes a source's stream on another engine. It keeps one run active, merges the batches that the run
 * seals, and answers the run's questions about definitions.
 *
 * Invariants
 * 1. A run computes with the definitions that were current when it began. When they change, a new run begins with the
 *    new ones, and the old run cannot seal any more.
 * 2. Sealed batches are merged whether their run is still alive or not. The job ends only when nothing is left to
 *    merge.
 * 3. A run that ends by itself is started again. The pause before that grows while runs end without sealing anything.
 * 4. A view whose query the engine refuses is left out and named. If no other view is left to compute, the job fails at
 *    once.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { ViewVersion } from '../definition/view-version.js';
import { FStoreError } from '../errors.js';
import type { Snapshot } from '../registry/snapshot.js';
import type { Job, Json } from '../store/job-store.js';
import type { QueryReader } from '../store/query-reader.js';
import type { MergedBatch, StagedBatches } from '../store/staged-batches.js';
import type { EngineDriver, EngineEnd, EngineWord } from './engine-driver.js';
import { isSameWork, type PlanOptions, type StreamInputs, type StreamPlan, streamPlan } from './engine-plan.js';
import type { EventLimits } from './event-decoder.js';
import type { JobContext } from './job-runner.js';
import { LogTail } from './log-tail.js';
import { checkPlanQueries } from './plan-query.js';
import { type SourceContract, type StreamContract, sourceContracts, streamName } from './source-contract.js';
import type { StagedMerger } from './staged-merger.js';

/** The kind of stream jobs. */
export const STREAM_JOB = 'stream';

/** The request of a stream job. */
export interface StreamRequest {
  readonly source: string;
  /** History tables of the views that the engine had to compute when the job was submitted. */
  readonly views: readonly string[];
  readonly revision: number;
}

/** What the handler of stream jobs needs. */
export interface StreamWork extends StreamInputs {
  readonly driver: EngineDriver;
  readonly staged: StagedBatches;
  readonly merger: StagedMerger;
  /** What parses queries before the engine reads them. */
  readonly queries: QueryReader;
  readonly limits: EventLimits;
  /** Returns the newest definitions after this process has adopted them for writing. */
  snapshot(): Promise<Snapshot>;
  /** Returns the newest definitions that this process knows of. */
  current(): Snapshot;
  readonly log: (message: string, fields: Record<string, unknown>) => void;
}

const MERGE_PAUSE = 50;
const RESTART_PAUSE = 1_000;
const LONGEST_PAUSE = 60_000;
/** How many runs in a row may end without sealing anything before the job fails. */
const MAX_FAILURES = 8;

/** Returns what another engine has to compute for a source, or null if there is nothing. */
export function engineWork(
  contract: SourceContract | undefined,
): { readonly contract: StreamContract; readonly views: readonly ViewVersion[] } | null {
  if (!contract || contract.topic === null) return null;
  const views = [...contract.views.filter((view) => view.engine !== 'builtin'), ...contract.queries];
  return views.length > 0 ? { contract: { ...contract, topic: contract.topic }, views } : null;
}

/** Returns the handler of stream jobs. */
export function createStreamHandler(work: StreamWork): (job: Job, context: JobContext) => Promise<Json> {
  return async (job, context) => {
    const { source } = job.request as unknown as StreamRequest;
    const stream = new SourceStreamRun(work, source, context);
    return stream.keepGoing();
  };
}

class SourceStreamRun {
  readonly #work: StreamWork;
  readonly #source: string;
  readonly #context: JobContext;
  readonly #startedAt = Date.now();
  readonly #tail = new LogTail();
  #events = 0;
  #newest: number | null = null;
  #failures = 0;
  /** Messages about views whose query the run refuses. */
  #refused = '';
  /** The newest registry revision that is known to leave the plan of the run unchanged. */
  #examined = -1;

  constructor(work: StreamWork, source: string, context: JobContext) {
    this.#work = work;
    this.#source = source;
    this.#context = context;
  }

  async keepGoing(): Promise<Json> {
    const { staged, limits, log } = this.#work;
    const { signal } = this.#context;
    for (;;) {
      signal.throwIfAborted();
      const snapshot = await this.#work.snapshot();
      const found = engineWork(sourceContracts(snapshot, limits).get(this.#source));
      const stream = streamName(snapshot.project, this.#source);
      if (!found) {
        await this.#work.merger.drain(stream, [...snapshot.views.values()]);
        return { events: this.#events };
      }
      const { contract, views } = found;
      const { topic, revision } = contract;
      const run = { stream, source: this.#source, topic, revision, views };
      const begun = await staged.begin(run).catch((error: unknown) => {
        if (error instanceof FStoreError && error.code === 'DEFINITIONS_STALE') return null;
        throw error;
      });
      if (!begun) {
        await delay(RESTART_PAUSE, undefined, { signal });
        continue;
      }
      const end = await this.#run({ project: snapshot.project, contract, views, stream, begun });
      signal.throwIfAborted();
      if (end.outcome !== 'failed') continue;
      if (end.code === 'SQL_INVALID') throw new FStoreError('SQL_INVALID', end.message);
      this.#failures += 1;
      log('a run of the engine failed; another begins', { source: this.#source, ...end });
      if (this.#failures >= MAX_FAILURES) {
        throw new FStoreError('ENGINE_FAILED', `${end.code}: ${end.message} (log: ${end.log})`);
      }
      const pause = Math.min(LONGEST_PAUSE, RESTART_PAUSE * 2 ** (this.#failures - 1));
      this.#report(`the engine failed (${end.message}); it is started again`);
      await delay(pause, undefined, { signal });
    }
  }

  /** Executes one run from its start to its end, and merges its batches meanwhile. */
  async #run(options: PlanOptions): Promise<EngineEnd> {
    const { driver, merger } = this.#work;
    const { views } = options;
    const plan = streamPlan(options, this.#work);
    await checkPlanQueries(this.#work.queries, plan);
    this.#examined = plan.revision;
    const stop = new AbortController();
    const onAbort = (): void => stop.abort(this.#context.signal.reason);
    this.#context.signal.addEventListener('abort', onAbort, { once: true });
    if (this.#context.signal.aborted) onAbort();
    this.#refused = '';
    this.#report(`${views.length} views: the engine starts`);
    let ended: EngineEnd | null = null;
    const hear = (word: EngineWord): void => {
      if ('line' in word) this.#tail.add(word.line);
      if (!('refused' in word)) return;
      this.#refused += `; not computed: ${word.refused}`;
      this.#work.log('the engine refuses the query of a view', { source: this.#source, message: word.refused });
      this.#report('the engine has started');
    };
    const running = driver.run(plan, stop.signal, hear).then((end) => {
      ended = end;
    });
    try {
      while (!ended) {
        const merged = await merger.drain(plan.stream, views, (batch) => this.#count(batch));
        await this.#attend(plan, options, stop);
        if (merged === 0) await Promise.race([running, delay(MERGE_PAUSE)]);
      }
      await merger.drain(plan.stream, views, (batch) => this.#count(batch));
    } finally {
      stop.abort(new Error('the run is over'));
      await running;
      this.#context.signal.removeEventListener('abort', onAbort);
    }
    return ended;
  }

  /**
   * Stops the run if its definitions have changed. If the run asks whether they have and they have not, confirms that.
   */
  async #attend(plan: StreamPlan, options: PlanOptions, stop: AbortController): Promise<void> {
    const { staged, current, snapshot, limits } = this.#work;
    const isAsking = await staged.isAsking(plan.stream, plan.epoch);
    if (!isAsking && current().revision === this.#examined) return;
    const newest = isAsking ? await snapshot() : current();
    const found = engineWork(sourceContracts(newest, limits).get(this.#source));
    this.#examined = newest.revision;
    const isStill = found && isSameWork(plan, streamPlan({ ...options, ...found }, this.#work));
    if (!isStill) stop.abort(new Error('the definitions have changed'));
    else if (isAsking) await staged.confirm(plan.stream, plan.epoch);
  }

  #count({ events, newest }: MergedBatch): void {
    this.#failures = 0;
    this.#events += events;
    if (newest !== null) this.#newest = Math.max(this.#newest ?? newest, newest);
    const rate = Math.round((this.#events / Math.max(1, Date.now() - this.#startedAt)) * 1000);
    const until = this.#newest === null ? '' : `, newest event ${new Date(this.#newest).toISOString()}`;
    this.#report(`${rate} events/s${until}`);
  }

  #report(note: string): void {
    this.#context.report({ done: this.#events, total: null, note: `${note}${this.#refused}`, log: this.#tail.lines });
  }
}
