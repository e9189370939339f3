/**
 * Hands the messages of a group's partitions to the handler of a consumer.
 *
 * Invariants
 * 1. An offset is committed after the handler of its batch resolved, and only in the generation in which the batch was
 *    fetched: a member that lost a partition meanwhile neither moves its position forth nor back.
 * 2. A partition whose handler threw pauses, longer each time, and goes on with the same messages; the others go on.
 * 3. While a handler runs the group hears heartbeats, so that it may take longer than a session lasts.
 */
import type { EachBatchPayload, Kafka, KafkaMessage } from 'kafkajs';
import type { ReceivedBatch, ReceivedMessage, Subscription } from './event-bus.js';
import type { BusLog } from './event-bus-log.js';
import { HEARTBEAT_INTERVAL, KafkaGroupMember } from './event-bus-member-kafka.js';
import { pauseAfter } from './event-bus-timing.js';

const MAX_MESSAGES = 2_000;

export interface KafkaConsumptionOptions {
  readonly kafka: Kafka;
  readonly group: string;
  readonly topic: string;
  readonly partitions: number;
  readonly handler: (batch: ReceivedBatch) => Promise<void>;
  readonly sessionTimeout: number;
  readonly log: BusLog;
}

function headerText(value: KafkaMessage['headers']): Record<string, string> {
  const entries = Object.entries(value ?? {}).flatMap(([name, item]) => {
    const last = Array.isArray(item) ? item.at(-1) : item;
    return last === undefined ? [] : [[name, last.toString()] as const];
  });
  return Object.fromEntries(entries);
}

/** A message as the port has it; one without a value (a tombstone) has an empty one. */
export function receivedMessage({ offset, key, value, headers }: KafkaMessage): ReceivedMessage {
  return {
    offset: BigInt(offset),
    key: key?.toString('utf8') ?? null,
    value: value ?? Buffer.alloc(0),
    headers: headerText(headers),
  };
}

export class KafkaConsumption implements Subscription {
  readonly #options: KafkaConsumptionOptions;
  readonly #member: KafkaGroupMember;
  readonly #failures = new Map<number, number>();
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(options: KafkaConsumptionOptions) {
    this.#options = options;
    const { kafka, group, topic, partitions, sessionTimeout, log } = options;
    this.#member = new KafkaGroupMember({
      ...{ kafka, groupId: group, topic, partitions, sessionTimeout, log },
      eachBatch: (payload) => this.#take(payload),
    });
  }

  /** Resolves when the group was joined. */
  join(): Promise<void> {
    return this.#member.join();
  }

  async stop(): Promise<void> {
    await this.#member.stop();
    for (const timer of this.#timers) clearTimeout(timer);
  }

  async #take(payload: EachBatchPayload): Promise<void> {
    const { batch, heartbeat, isRunning, isStale } = payload;
    const generation = this.#member.generation;
    let rebalancing = false;
    const beat = (): void =>
      void heartbeat().catch(() => {
        rebalancing = true;
      });
    const timer = setInterval(beat, Math.min(HEARTBEAT_INTERVAL, Math.floor(this.#options.sessionTimeout / 3)));
    try {
      for (let start = 0; start < batch.messages.length; start += MAX_MESSAGES) {
        if (rebalancing || !isRunning() || isStale() || this.#member.generation !== generation) return;
        const done = await this.#handle(payload, batch.messages.slice(start, start + MAX_MESSAGES), generation);
        if (!done) return;
      }
    } finally {
      clearInterval(timer);
    }
  }

  /** Handles and commits some messages of a batch; false if the rest of the batch is not to be handled now. */
  async #handle(payload: EachBatchPayload, messages: readonly KafkaMessage[], generation: number): Promise<boolean> {
    const { topic, partition } = payload.batch;
    const last = messages.at(-1)!.offset;
    try {
      await this.#options.handler({ topic, partition, messages: messages.map(receivedMessage) });
    } catch (error) {
      this.#postpone(payload, messages[0]!.offset, error);
      return false;
    }
    this.#failures.delete(partition);
    if (this.#member.generation !== generation) return false;
    const offset = `${BigInt(last) + 1n}`;
    await payload.commitOffsetsIfNecessary({ topics: [{ topic, partitions: [{ partition, offset }] }] });
    if (this.#member.generation !== generation) return false;
    payload.resolveOffset(last);
    return true;
  }

  /** What is not resolved is fetched again when the partition resumes. */
  #postpone({ batch, pause }: EachBatchPayload, offset: string, error: unknown): void {
    const { topic, partition } = batch;
    const failures = (this.#failures.get(partition) ?? 0) + 1;
    this.#failures.set(partition, failures);
    const where = { topic, partition, offset, failures };
    this.#options.log('warn', 'a batch of the event bus failed; it is tried again', { ...where, error: String(error) });
    const resume = pause();
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      resume();
    }, pauseAfter(failures));
    this.#timers.add(timer);
  }
}
