/**
 * Notices applies through a change stream on the document of one project.
 *
 * Boundary: a hint for RegistryFollower, which polls as well.
 * Invariants
 * 1. After `open` resolved, the listener is called for every later apply while the stream is open.
 * 2. A failed stream is reopened, without a limit of attempts. Then the listener is called, because it may have missed
 *    applies.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { ChangeStream, Collection, MongoClient, Timestamp } from 'mongodb';

const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5_000;
/** Milliseconds for which the server holds a read without changes. `close` waits for it. */
const LONGEST_WAIT = 300;

/** The document of a project. */
export interface ProjectDocument {
  readonly _id: string;
  readonly revision: number;
}

/** A watch of one project. */
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

  /** Starts watching. Rejects with the driver's error if the server does not answer. */
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

  /** Ends the watch. Afterwards the listener is not called. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#stream?.close().catch(() => {});
    await this.#running;
  }

  /** Returns the current cluster time. The driver opens a stream lazily; a start time avoids a gap until then. */
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
        // The watch is closed, or the server is unreachable. The follower polls meanwhile.
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
