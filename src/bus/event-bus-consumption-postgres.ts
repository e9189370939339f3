/**
 * Passes the messages of one leased partition to the handler of a consumer.
 *
 * Invariants
 * 1. The position moves past a batch only after the handler of the batch resolved.
 * 2. After a handler throws, it gets the same batch again after a pause, until it resolves, the lease is lost, or the
 *    consumption stops.
 * 3. `done` resolves after the last handler has ended.
 */
import type { ReceivedBatch } from './event-bus.js';
import type { Lease, LeasedReader } from './event-bus-groups-postgres.js';
import type { BusLog } from './event-bus-log.js';
import type { PostgresTopicReader } from './event-bus-reader-postgres.js';
import { pause, pauseAfter } from './event-bus-timing.js';

/** What to read under which lease, and the handler. */
export interface PartitionConsumptionOptions {
  readonly topic: string;
  readonly lease: Lease;
  readonly reader: PostgresTopicReader;
  readonly handler: (batch: ReceivedBatch) => Promise<void>;
  readonly log: BusLog;
}

/** Reads one partition for as long as its lease holds. */
export class PostgresPartitionConsumption implements LeasedReader {
  readonly done: Promise<void>;
  readonly #options: PartitionConsumptionOptions;
  readonly #stop = new AbortController();
  #position: bigint;
  #grown = true;
  #wake: () => void = () => {};

  constructor(options: PartitionConsumptionOptions) {
    this.#options = options;
    this.#position = options.lease.position;
    this.done = this.#run();
  }

  stop(): void {
    this.#stop.abort();
    this.#wake();
  }

  get #runs(): boolean {
    return !this.#stop.signal.aborted && this.#options.lease.holds();
  }

  async #run(): Promise<void> {
    const { lease, reader, topic } = this.#options;
    const unsubscribe = reader.onGrowth({
      topic,
      partition: lease.partition,
      position: () => this.#position,
      wake: () => {
        this.#grown = true;
        this.#wake();
      },
    });
    try {
      for (;;) {
        await this.#growth();
        if (!this.#runs) return;
        this.#grown = false;
        // After a batch, read again without waiting: there may be more.
        if (await this.#next()) this.#grown = true;
      }
    } finally {
      unsubscribe();
    }
  }

  async #growth(): Promise<void> {
    if (this.#grown || !this.#runs) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  /** Handles the next batch. Returns false if there is none, or if it was not handled. */
  async #next(): Promise<boolean> {
    const { handler, lease, reader, topic } = this.#options;
    const { partition } = lease;
    const messages = await this.#persist('read', () => reader.read(topic, partition, this.#position));
    const last = messages?.at(-1);
    if (!messages || !last) return false;
    const handled = await this.#persist('handler', async () => {
      await handler({ topic, partition, messages });
      return true;
    });
    if (!handled) return false;
    const after = last.offset + 1n;
    if (await lease.commit(this.#position, after)) this.#position = after;
    // Another consumer may have moved the position. Only a new lease gives the right one.
    else this.#stop.abort();
    return true;
  }

  /** Repeats a step until it succeeds. Returns null if the consumption stops or the lease is lost before that. */
  async #persist<T>(step: string, work: () => Promise<T>): Promise<T | null> {
    const { lease, log, topic } = this.#options;
    for (let failures = 1; this.#runs; failures += 1) {
      try {
        return await work();
      } catch (error) {
        const where = { topic, partition: lease.partition, offset: `${this.#position}`, step, failures };
        log('warn', 'a batch of the event bus failed; it is tried again', { ...where, error: String(error) });
        await pause(pauseAfter(failures), this.#stop.signal);
      }
    }
    return null;
  }
}
