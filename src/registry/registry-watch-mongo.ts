/**
 * Hears of applies by a change stream on one project's document.
 *
 * Boundary: a hint for RegistryFollower, which also polls.
 * Invariants
 * 1. Once `open` resolved, the listener hears of every later apply while the stream lives.
 * 2. A stream that failed is opened again, for as long as it takes, and then the listener is called: it may have missed some.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { ChangeStream, Collection, MongoClient, Timestamp } from 'mongodb';

const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5_000;
/** How long the server holds a read that finds nothing; closing waits for it. */
const LONGEST_WAIT = 300;

export interface ProjectDocument {
  readonly _id: string;
  readonly revision: number;
}

export class MongoRegistryWatch {
  readonly #client: MongoClient;
  readonly #projects: Collection<ProjectDocument>;
  readonly #project: string;
  readonly #listener: () => void;
  readonly #stop = new AbortController();
  #stream: ChangeStream<ProjectDocument> | null = null;
  #running: Promise<void> = Promise.resolve();

  private constructor(
    client: MongoClient,
    projects: Collection<ProjectDocument>,
    project: string,
    listener: () => void,
  ) {
    this.#client = client;
    this.#projects = projects;
    this.#project = project;
    this.#listener = listener;
  }

  /** Starts watching. Rejects, with the driver's error, when the server does not answer. */
  static async open(
    client: MongoClient,
    projects: Collection<ProjectDocument>,
    project: string,
    listener: () => void,
  ): Promise<MongoRegistryWatch> {
    const watch = new MongoRegistryWatch(client, projects, project, listener);
    watch.#running = watch.#keepWatching(await watch.#clusterTime());
    return watch;
  }

  /** Ends the watch; afterwards the listener is not called any more. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#stream?.close().catch(() => {});
    await this.#running;
  }

  /** The driver opens a stream at its first read; starting it at a time that is known now leaves no gap until then. */
  async #clusterTime(): Promise<Timestamp | undefined> {
    return this.#client.withSession(async (session) => {
      await this.#projects.findOne({ _id: this.#project }, { session, readConcern: { level: 'majority' } });
      return session.operationTime;
    });
  }

  async #keepWatching(first: Timestamp | undefined): Promise<void> {
    let startAt: Timestamp | undefined = first;
    let pause = FIRST_PAUSE;
    while (!this.#stop.signal.aborted) {
      try {
        if (startAt === undefined) {
          startAt = await this.#clusterTime();
          this.#notify();
        }
        this.#stream = this.#projects.watch<ProjectDocument>([{ $match: { 'documentKey._id': this.#project } }], {
          maxAwaitTimeMS: LONGEST_WAIT,
          ...(startAt ? { startAtOperationTime: startAt } : {}),
        });
        for (;;) {
          if (this.#stop.signal.aborted) break;
          await this.#stream.next();
          pause = FIRST_PAUSE;
          this.#notify();
        }
      } catch {
        // Stopped, or the server is away; meanwhile whoever watches polls.
      }
      await this.#stream?.close().catch(() => {});
      startAt = undefined;
      await delay(pause, undefined, { signal: this.#stop.signal }).catch(() => {});
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    }
  }

  #notify(): void {
    if (!this.#stop.signal.aborted) this.#listener();
  }
}
