/**
 * Passes the messages of a group's partitions to the handler of a consumer.
 *
 * Invariants
 * 1. A batch's offset is committed after its handler resolved, and only in the generation in which it was fetched. So a
 *    member that has lost a partition never moves its position.
 * 2. After a handler throws, its partition pauses, longer each time, and then repeats the messages. Others continue.
 * 3. The group receives heartbeats while a handler runs, so a handler may take longer than the session timeout.
 */
import type { EachBatchPayload, Kafka, KafkaMessage } from 'kafkajs';
import type { ReceivedBatch, ReceivedMessage, Subscription } from './event-bus.js';
import type { BusLog } from './event-bus-log.js';
import { HEARTBEAT_INTERVAL, KafkaGroupMember } from './event-bus-member-kafka.js';
import { pauseAfter } from './event-bus-timing.js';

const MAX_MESSAGES = 2_000;

/** What a consumption reads, and how. `sessionTimeout` is in milliseconds. */
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

/** Returns a message in the port's form. A message without a value (a tombstone) gets an empty one. */
export function receivedMessage({ offset, key, value, headers }: KafkaMessage): ReceivedMessage {
  return {
    offset: BigInt(offset),
    key: key?.toString('utf8') ?? null,
    value: value ?? Buffer.alloc(0),
    headers: headerText(headers),
  };
}

/** One subscription of a group to a topic on Kafka. */
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

  /** Resolves when the member has joined the group. */
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

  /** Handles and commits some messages of a batch. Returns false if the rest of the batch must not be handled now. */
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

  /** Pauses a partition after a failure. When it resumes, kafkajs fetches all messages that are not resolved again. */
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
