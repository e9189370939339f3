/**
 * Reads the newest messages of a topic, through a temporary group that commits nothing.
 */
import { randomUUID } from 'node:crypto';
import type { Admin, EachBatchPayload, Kafka } from 'kafkajs';
import type { ReceivedMessage } from './event-bus.js';
import { receivedMessage } from './event-bus-consumption-kafka.js';
import type { BusLog } from './event-bus-log.js';
import { KafkaGroupMember } from './event-bus-member-kafka.js';
import { within } from './event-bus-timing.js';

/** Messages at some offsets may be deleted, or be transaction markers. So after this time, peek returns what it has. */
const PEEK_TIMEOUT = 10_000;
const FORGET_TIMEOUT = 2_000;

/** The offsets to read. `sessionTimeout` is in milliseconds. */
export interface PeekOptions {
  readonly kafka: Kafka;
  readonly admin: Admin;
  readonly topic: string;
  /** For each partition, the first offset to read and the one after the last. */
  readonly stretches: readonly { readonly partition: number; readonly from: bigint; readonly to: bigint }[];
  readonly sessionTimeout: number;
  readonly log: BusLog;
}

/** Returns the messages of these ranges of offsets, ordered by partition and offset. */
export async function peekKafka(options: PeekOptions): Promise<ReceivedMessage[]> {
  const { kafka, admin, topic, stretches, sessionTimeout, log } = options;
  const open = new Map(stretches.filter(({ from, to }) => from < to).map((one) => [one.partition, one]));
  if (open.size === 0) return [];
  const found = new Map<string, { partition: number; message: ReceivedMessage }>();
  let done = (): void => {};
  const all = new Promise<void>((resolve) => {
    done = resolve;
  });
  const take = async ({ batch, resolveOffset }: EachBatchPayload): Promise<void> => {
    const { partition } = batch;
    const wanted = stretches.find((one) => one.partition === partition);
    for (const message of batch.messages.map(receivedMessage)) {
      if (!wanted || message.offset < wanted.from || message.offset >= wanted.to) continue;
      found.set(`${partition}/${message.offset}`, { partition, message });
    }
    resolveOffset(batch.lastOffset());
    if (wanted && BigInt(batch.lastOffset()) + 1n >= wanted.to) open.delete(partition);
    if (open.size === 0) done();
  };
  const groupId = `fstore.peek.${randomUUID()}`;
  const member = new KafkaGroupMember({
    ...{ kafka, groupId, topic, partitions: stretches.length, sessionTimeout, log },
    joined: (consumer) => {
      for (const { partition, from } of stretches) consumer.seek({ topic, partition, offset: `${from}` });
    },
    eachBatch: take,
  });
  try {
    await member.join();
    await within(PEEK_TIMEOUT, all).catch(() => {});
  } finally {
    await member.stop();
    // Deleting the group is a courtesy: the broker would delete an empty group later by itself.
    await within(FORGET_TIMEOUT, admin.deleteGroups([groupId])).catch(() => {});
  }
  return [...found.values()]
    .sort((a, b) => a.partition - b.partition || Number(a.message.offset - b.message.offset))
    .map(({ message }) => message);
}
