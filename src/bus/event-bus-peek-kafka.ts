/**
 * Reads the newest messages of a topic, by a group that exists only for that and commits nothing.
 */
import { randomUUID } from 'node:crypto';
import type { Admin, EachBatchPayload, Kafka } from 'kafkajs';
import type { ReceivedMessage } from './event-bus.js';
import { receivedMessage } from './event-bus-consumption-kafka.js';
import type { BusLog } from './event-bus-log.js';
import { KafkaGroupMember } from './event-bus-member-kafka.js';
import { within } from './event-bus-timing.js';

/** Offsets may be of messages that are gone, or of none at all (marks of transactions): what has come by then is the answer. */
const PEEK_TIMEOUT = 10_000;
const FORGET_TIMEOUT = 2_000;

export interface PeekOptions {
  readonly kafka: Kafka;
  readonly admin: Admin;
  readonly topic: string;
  /** Of each partition, the first offset that is wanted, and the one after the last. */
  readonly stretches: readonly { readonly partition: number; readonly from: bigint; readonly to: bigint }[];
  readonly sessionTimeout: number;
  readonly log: BusLog;
}

/** The messages of these stretches, by partition and offset. */
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
    // The broker forgets an empty group by itself, only later.
    await within(FORGET_TIMEOUT, admin.deleteGroups([groupId])).catch(() => {});
  }
  return [...found.values()]
    .sort((a, b) => a.partition - b.partition || Number(a.message.offset - b.message.offset))
    .map(({ message }) => message);
}
