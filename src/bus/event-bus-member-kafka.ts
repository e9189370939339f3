/**
 * One member of a Kafka consumer group, which stays a member until it is stopped.
 *
 * kafkajs gives up on some errors, and its own restart cannot be stopped half-way; so here a consumer that crashed is
 * replaced by a new one.
 *
 * Invariants
 * 1. After `stop` resolved no handler runs, and none will.
 * 2. A crash, of whatever kind, is followed by a new attempt to join, for as long as it takes.
 * 3. `generation` grows with each assignment; what belongs to an older one may by now belong to another member.
 * 4. `joined` is called for each assignment before anything of it is fetched.
 */
import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import type { BusLog } from './event-bus-log.js';
import { pause, pauseAfter } from './event-bus-timing.js';

export const HEARTBEAT_INTERVAL = 1_500;
/** How long a rebalance waits for the batches under way. */
const REBALANCE_TIMEOUT = 60_000;
const JOIN_TIMEOUT = 30_000;
/** Each attempt takes seconds by itself when no broker is there. */
const LONGEST_JOIN_PAUSE = 1_000;
/** Keeps messages fresh and a stop quick: a fetch that finds nothing holds both up for so long. */
const FETCH_WAIT = 100;

export interface KafkaMemberOptions {
  readonly kafka: Kafka;
  readonly groupId: string;
  readonly topic: string;
  readonly partitions: number;
  /** Milliseconds after which a member that is silent is taken for dead; brokers allow no less than 6 s unless told. */
  readonly sessionTimeout: number;
  readonly log: BusLog;
  readonly joined?: (consumer: Consumer) => void;
  readonly eachBatch: (payload: EachBatchPayload) => Promise<void>;
}

export class KafkaGroupMember {
  readonly #options: KafkaMemberOptions;
  readonly #stopping = new AbortController();
  #consumer: Consumer | null = null;
  #generation = 0;
  #reopening: Promise<void> = Promise.resolve();

  constructor(options: KafkaMemberOptions) {
    this.#options = options;
  }

  get generation(): number {
    return this.#generation;
  }

  /** Resolves when the group was joined; rejects with the last failure if that takes too long. */
  async join(): Promise<void> {
    const deadline = Date.now() + JOIN_TIMEOUT;
    for (let failures = 1; ; failures += 1) {
      try {
        return await this.#open();
      } catch (error) {
        // A broker that has just started has no coordinator for the group yet.
        if (Date.now() > deadline || this.#stopping.signal.aborted) throw error;
        await pause(Math.min(pauseAfter(failures), LONGEST_JOIN_PAUSE), this.#stopping.signal);
      }
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#reopening;
    await this.#consumer?.disconnect().catch(() => {});
  }

  async #open(): Promise<void> {
    const { kafka, groupId, topic, partitions, sessionTimeout, joined, eachBatch } = this.#options;
    const consumer = kafka.consumer({
      groupId,
      sessionTimeout,
      rebalanceTimeout: REBALANCE_TIMEOUT,
      heartbeatInterval: Math.min(HEARTBEAT_INTERVAL, Math.floor(sessionTimeout / 3)),
      maxWaitTimeInMs: FETCH_WAIT,
      minBytes: 1,
      allowAutoTopicCreation: false,
      retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries: 5, restartOnFailure: async () => false },
    });
    const state: { crash: Error | null; open: boolean } = { crash: null, open: false };
    consumer.on(consumer.events.GROUP_JOIN, () => {
      this.#generation += 1;
      joined?.(consumer);
    });
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      state.crash = payload.error;
      if (state.open) this.#replace(payload.error);
    });
    try {
      await consumer.connect();
      await consumer.subscribe({ topics: [topic], fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: partitions,
        eachBatch,
      });
      if (state.crash) throw state.crash;
      if (this.#stopping.signal.aborted) throw new Error('the consumer was stopped while it joined');
    } catch (error) {
      await consumer.disconnect().catch(() => {});
      throw error;
    }
    state.open = true;
    this.#consumer = consumer;
  }

  #replace(crash: Error): void {
    const { groupId, log } = this.#options;
    log('warn', 'a consumer crashed; it joins again', { group: groupId, error: crash.message });
    this.#generation += 1;
    this.#reopening = this.#reopening.then(async () => {
      for (let failures = 1; !this.#stopping.signal.aborted; failures += 1) {
        await pause(Math.min(pauseAfter(failures), LONGEST_JOIN_PAUSE), this.#stopping.signal);
        if (this.#stopping.signal.aborted) return;
        try {
          return await this.#open();
        } catch (error) {
          log('debug', 'a group could not be joined yet', { group: groupId, error: (error as Error).message });
        }
      }
    });
  }
}
