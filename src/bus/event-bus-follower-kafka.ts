/**
 * Passes every new message of a topic to one handler, as the only member of its own consumer group.
 *
 * Invariants
 * 1. It starts at the ends that the partitions had before it joined. It keeps its positions in memory and never commits
 *    them. After each assignment it continues from them, so it skips and repeats nothing.
 * 2. A handler that throws does not stop the follower, and its batch is not repeated.
 */
import { randomUUID } from 'node:crypto';
import type { Admin, Consumer, EachBatchPayload, Kafka } from 'kafkajs';
import type { ReceivedBatch, Subscription } from './event-bus.js';
import { receivedMessage } from './event-bus-consumption-kafka.js';
import type { BusLog } from './event-bus-log.js';
import { KafkaGroupMember } from './event-bus-member-kafka.js';
import { within } from './event-bus-timing.js';

const FORGET_TIMEOUT = 2_000;

/** What to follow, and the handler. `sessionTimeout` is in milliseconds. */
export interface KafkaFollowerOptions {
  readonly kafka: Kafka;
  readonly admin: Admin;
  readonly topic: string;
  /** The first offset to read, by partition. */
  readonly from: ReadonlyMap<number, bigint>;
  readonly handler: (batch: ReceivedBatch) => void;
  readonly sessionTimeout: number;
  readonly log: BusLog;
}

/** A follower of one topic on Kafka. */
export class KafkaFollower implements Subscription {
  readonly #options: KafkaFollowerOptions;
  readonly #groupId = `fstore.follower.${randomUUID()}`;
  readonly #positions: Map<number, bigint>;
  readonly #member: KafkaGroupMember;

  constructor(options: KafkaFollowerOptions) {
    this.#options = options;
    this.#positions = new Map(options.from);
    const { kafka, topic, sessionTimeout, log } = options;
    this.#member = new KafkaGroupMember({
      ...{ kafka, groupId: this.#groupId, topic, partitions: options.from.size, sessionTimeout, log },
      joined: (consumer) => this.#seek(consumer),
      eachBatch: (payload) => this.#take(payload),
    });
  }

  /** Resolves when the member has joined its group. */
  join(): Promise<void> {
    return this.#member.join();
  }

  async stop(): Promise<void> {
    await this.#member.stop();
    // Deleting the group is a courtesy: the broker would delete an empty group later by itself.
    await within(FORGET_TIMEOUT, this.#options.admin.deleteGroups([this.#groupId])).catch(() => {});
  }

  #seek(consumer: Consumer): void {
    const { topic } = this.#options;
    for (const [partition, offset] of this.#positions) consumer.seek({ topic, partition, offset: `${offset}` });
  }

  async #take({ batch, isStale, resolveOffset }: EachBatchPayload): Promise<void> {
    if (isStale()) return;
    const { handler, log } = this.#options;
    const { topic, partition } = batch;
    const position = this.#positions.get(partition) ?? 0n;
    const messages = batch.messages.map(receivedMessage).filter(({ offset }) => offset >= position);
    const last = messages.at(-1);
    if (last) {
      this.#positions.set(partition, last.offset + 1n);
      try {
        handler({ topic, partition, messages });
      } catch (error) {
        log('error', 'a follower failed on a batch', { topic, partition, error: String(error) });
      }
    }
    resolveOffset(batch.lastOffset());
  }
}
