/**
 * Port: topics of messages, in order within a partition, kept until retention takes them.
 *
 * Invariants that every adapter holds (test/contract/event-bus.test.ts)
 * 1. `publish` resolves after the messages are durable, in their order within a partition; equal keys, equal partition.
 * 2. Within a group each partition has one consumer at a time; when it dies, another takes over from the last batch whose
 *    handler resolved. Nothing is skipped: a handler that throws gets the same messages again, after a pause.
 * 3. A follower gets every message published after `follow` resolved, at every follower, whoever else reads.
 * 4. Offsets grow strictly within a partition.
 * 5. `positions` and `peek` join no group: nobody who consumes or follows notices them.
 */
export interface BusMessage {
  /** Messages with equal keys stay in order; null: any partition. */
  readonly key: string | null;
  readonly value: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface ReceivedMessage {
  readonly offset: bigint;
  readonly key: string | null;
  readonly value: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

export interface ReceivedBatch {
  readonly topic: string;
  readonly partition: number;
  readonly messages: readonly ReceivedMessage[];
}

/** How far a group is in one partition. */
export interface GroupPosition {
  readonly partition: number;
  /** The oldest offset that the bus holds; `end` where it holds nothing. */
  readonly first: bigint;
  /** The offset that the next message gets. */
  readonly end: bigint;
  /** The offset with which the group goes on; null: it has committed none. */
  readonly next: bigint | null;
}

/** Something that runs until it is stopped; `stop` resolves when no handler runs any more. */
export interface Subscription {
  stop(): Promise<void>;
}

export interface EventBus {
  /** Creates the topics that are missing. */
  ensureTopics(topics: readonly string[]): Promise<void>;
  /** Throws BUS_UNAVAILABLE when the messages could not be made durable. */
  publish(topic: string, messages: readonly BusMessage[]): Promise<void>;
  /** Reads a topic from the group's last position, or from its beginning. Resolves when the group was joined. */
  consume(group: string, topic: string, handler: (batch: ReceivedBatch) => Promise<void>): Promise<Subscription>;
  /** Reads what is published from now on, independent of every group. */
  follow(topic: string, handler: (batch: ReceivedBatch) => void): Promise<Subscription>;
  /** For each group and topic, in order, the positions in all partitions; none of a topic that is not there. */
  positions(streams: readonly { readonly group: string; readonly topic: string }[]): Promise<GroupPosition[][]>;
  /** The newest messages of a topic, by partition and offset, `count` at most; null: there is no such topic. */
  peek(topic: string, count: number): Promise<readonly ReceivedMessage[] | null>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
