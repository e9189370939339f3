/**
 * Writes messages to Kafka, durably and in order.
 *
 * The idempotent producer of kafkajs has three traps. Each loses messages and reports success:
 * - The broker may have written a send that failed in the client. The producer then reuses its sequence numbers, and
 *   the broker drops the next messages as duplicates. So a producer is never used again after a failure.
 * - Of concurrent sends one may fail and another succeed, with the same effect. So only one send is in flight at a
 *   time. Messages that are published meanwhile go with the next send.
 * - If during a send a partition moves to a broker that has already answered, kafkajs skips its messages. So the answer
 *   must name every partition that was written to.
 *
 * Invariants
 * 1. `publish` resolves after all in-sync replicas have every message. Otherwise it rejects, in bounded time.
 * 2. Messages of one `publish` keep their order within a partition, and the messages of the next one follow them.
 * 3. After a failure, nothing more of the same `publish` is written.
 */
import type { Kafka, Message, Producer, RecordMetadata } from 'kafkajs';
import type { BusLog } from './event-bus-log.js';
import { within } from './event-bus-timing.js';

/** Below the default limit of brokers, which is about 1 MB for a batch. */
const MAX_BYTES = 900_000;
const MAX_MESSAGES = 2_000;
const ACKNOWLEDGE_TIMEOUT = 8_000;
const SEND_TIMEOUT = 20_000;
/** The approximate size of a record without key, value and headers. */
const RECORD_BYTES = 32;

/** A message with its partition. */
export type PlacedMessage = Message & { readonly partition: number; readonly value: Buffer };

interface Batch {
  readonly topic: string;
  readonly messages: readonly PlacedMessage[];
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

function sizeOf({ key, value, headers }: PlacedMessage): number {
  let size = RECORD_BYTES + value.length + (key?.length ?? 0);
  for (const [name, text] of Object.entries(headers ?? {})) size += name.length + String(text).length * 3 + 8;
  return size;
}

/** Writes messages with one producer at a time, which it replaces after a failure. */
export class KafkaPublisher {
  readonly #kafka: Kafka;
  readonly #log: BusLog;
  readonly #queue: Batch[] = [];
  #producer: Producer | null = null;
  #sending: Promise<void> | null = null;

  constructor(kafka: Kafka, log: BusLog) {
    this.#kafka = kafka;
    this.#log = log;
  }

  /** Writes messages. Rejects with the driver's error if they may not have been written. */
  async publish(topic: string, messages: readonly PlacedMessage[]): Promise<void> {
    let start = 0;
    while (start < messages.length) {
      let bytes = 0;
      let end = start;
      while (end < messages.length && end - start < MAX_MESSAGES) {
        const size = sizeOf(messages[end]!);
        if (end > start && bytes + size > MAX_BYTES) break;
        bytes += size;
        end += 1;
      }
      await this.#enqueue(topic, messages.slice(start, end), bytes);
      start = end;
    }
  }

  async close(): Promise<void> {
    await this.#sending;
    await this.#producer?.disconnect().catch(() => {});
    this.#producer = null;
  }

  #enqueue(topic: string, messages: readonly PlacedMessage[], bytes: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ topic, messages, bytes, resolve, reject });
      this.#sending ??= this.#sendAll();
    });
  }

  async #sendAll(): Promise<void> {
    // Wait for all `publish` calls of this tick, so that they share one send.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      const batches = this.#nextBatches();
      try {
        await this.#send(batches);
        for (const batch of batches) batch.resolve();
      } catch (error) {
        this.#discard();
        for (const batch of batches) batch.reject(error);
      }
    }
    // No await separates this from the check of the queue, so the next message starts a new loop.
    this.#sending = null;
  }

  /** Removes from the queue what fits into one send: at least one batch. */
  #nextBatches(): Batch[] {
    let bytes = 0;
    let messages = 0;
    const over = this.#queue.findIndex((batch, index) => {
      bytes += batch.bytes;
      messages += batch.messages.length;
      return index > 0 && (bytes > MAX_BYTES || messages > MAX_MESSAGES);
    });
    return this.#queue.splice(0, over === -1 ? this.#queue.length : over);
  }

  async #send(batches: readonly Batch[]): Promise<void> {
    const byTopic = new Map<string, PlacedMessage[]>();
    for (const { topic, messages } of batches) {
      const list = byTopic.get(topic);
      if (list) list.push(...messages);
      else byTopic.set(topic, [...messages]);
    }
    const topicMessages = [...byTopic].map(([topic, messages]) => ({ topic, messages }));
    const send = async (): Promise<RecordMetadata[]> => {
      const producer = await this.#connected();
      return producer.sendBatch({ acks: -1, timeout: ACKNOWLEDGE_TIMEOUT, topicMessages });
    };
    const answers = await within(SEND_TIMEOUT, send());
    const written = new Set(
      answers.filter((one) => one.errorCode === 0).map(({ topicName, partition }) => `${topicName}/${partition}`),
    );
    for (const { topic, messages } of topicMessages) {
      const lacking = messages.find(({ partition }) => !written.has(`${topic}/${partition}`));
      if (lacking) throw new Error(`no broker confirmed partition ${lacking.partition} of ${topic}`);
    }
  }

  async #connected(): Promise<Producer> {
    if (this.#producer) return this.#producer;
    const producer = this.#kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      retry: { initialRetryTime: 100, maxRetryTime: 2_000, retries: 5 },
      createPartitioner:
        () =>
        ({ message }) =>
          message.partition!,
    });
    this.#producer = producer;
    await producer.connect();
    return producer;
  }

  #discard(): void {
    const producer = this.#producer;
    this.#producer = null;
    if (!producer) return;
    this.#log('warn', 'a producer failed and is replaced');
    void producer.disconnect().catch(() => {});
  }
}
