/**
 * Passes every new message of a topic to one handler, independent of every group.
 *
 * Invariants
 * 1. It starts at the ends that the partitions had at its creation, and keeps its positions in memory. So a lost
 *    connection delays messages, but drops none.
 * 2. A handler that throws does not stop the follower, and its batch is not repeated.
 */
import type { ReceivedBatch, Subscription } from './event-bus.js';
import type { BusLog } from './event-bus-log.js';
import type { PostgresTopicReader } from './event-bus-reader-postgres.js';
import { pause, pauseAfter } from './event-bus-timing.js';

/** What to follow, and the handler. */
export interface FollowerOptions {
  readonly topic: string;
  readonly reader: PostgresTopicReader;
  readonly handler: (batch: ReceivedBatch) => void;
  readonly log: BusLog;
  /** The first offset to read, by partition. */
  readonly from: ReadonlyMap<number, bigint>;
}

/** A follower of one topic in PostgreSQL. */
export class PostgresFollower implements Subscription {
  readonly #options: FollowerOptions;
  readonly #positions: Map<number, bigint>;
  readonly #grown: Set<number>;
  readonly #stop = new AbortController();
  readonly #unsubscribe: (() => void)[];
  readonly #running: Promise<void>;
  #wake: () => void = () => {};

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#positions = new Map(options.from);
    this.#grown = new Set(options.from.keys());
    this.#unsubscribe = [...options.from.keys()].map((partition) =>
      options.reader.onGrowth({
        topic: options.topic,
        partition,
        position: () => this.#positions.get(partition)!,
        wake: () => {
          this.#grown.add(partition);
          this.#wake();
        },
      }),
    );
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    this.#wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    let failures = 0;
    while (!this.#stop.signal.aborted) {
      const [partition] = this.#grown;
      if (partition === undefined) {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
        continue;
      }
      this.#grown.delete(partition);
      try {
        if (await this.#next(partition)) this.#grown.add(partition);
        failures = 0;
      } catch (error) {
        failures += 1;
        this.#grown.add(partition);
        this.#options.log('warn', 'a followed topic could not be read', {
          topic: this.#options.topic,
          error: (error as Error).message,
        });
        await pause(pauseAfter(failures), this.#stop.signal);
      }
    }
  }

  /** Passes on the next messages of a partition. Returns false if there are none. */
  async #next(partition: number): Promise<boolean> {
    const { handler, log, reader, topic } = this.#options;
    const messages = await reader.read(topic, partition, this.#positions.get(partition)!);
    const last = messages.at(-1);
    if (!last || this.#stop.signal.aborted) return false;
    this.#positions.set(partition, last.offset + 1n);
    try {
      handler({ topic, partition, messages });
    } catch (error) {
      log('error', 'a follower failed on a batch', { topic, partition, error: String(error) });
    }
    return true;
  }
}
