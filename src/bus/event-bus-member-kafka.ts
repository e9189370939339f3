/**
 * One member of a Kafka consumer group, which rejoins after every failure until it is stopped.
 *
 * kafkajs gives up after some errors, and its own restart cannot be interrupted. So this class replaces a crashed
 * consumer by a new one.
 *
 * Invariants
 * 1. After `stop` resolved, no handler runs or starts.
 * 2. After any crash it retries to join, without a limit.
 * 3. `generation` grows with each assignment. Partitions of an older generation may belong to another member.
 * 4. `joined` is called for each assignment before any of its messages are fetched.
 */
import type { Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import type { BusLog } from './event-bus-log.js';
import { pause, pauseAfter } from './event-bus-timing.js';

/** Milliseconds between heartbeats, at most. */
export const HEARTBEAT_INTERVAL = 1_500;
/** How long a rebalance waits for batches in flight. */
const REBALANCE_TIMEOUT = 60_000;
const JOIN_TIMEOUT = 30_000;
/** Short, because without a broker each attempt itself takes seconds. */
const LONGEST_JOIN_PAUSE = 1_000;
/** How long a fetch waits if there are no messages. A short wait keeps messages fresh and lets `stop` end soon. */
const FETCH_WAIT = 100;

/** The group and topic of a member, and its handlers. */
export interface KafkaMemberOptions {
  readonly kafka: Kafka;
  readonly groupId: string;
  readonly topic: string;
  readonly partitions: number;
  /** Milliseconds without a heartbeat after which the member is replaced. By default brokers require 6 s or more. */
  readonly sessionTimeout: number;
  readonly log: BusLog;
  readonly joined?: (consumer: Consumer) => void;
  readonly eachBatch: (payload: EachBatchPayload) => Promise<void>;
}

/** A member of a consumer group. */
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

  /** Resolves when the member has joined. Rejects with the last error if that takes longer than JOIN_TIMEOUT. */
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
