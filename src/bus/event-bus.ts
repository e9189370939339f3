/**
 * The port to the event bus: topics of messages, ordered within a partition, and kept until retention deletes them.
 *
 * Invariants that every adapter holds (test/contract/event-bus.test.ts)
 * 1. `publish` resolves after the messages are durable, in order within a partition. Equal keys share a partition.
 * 2. Within a group, each partition has one consumer at a time. If it dies, another consumer continues after the last
 *    batch whose handler resolved. Nothing is skipped: after a handler throws, it gets the same messages again.
 * 3. Every follower gets every message that is published after its `follow` resolved, whatever others read.
 * 4. Offsets grow strictly within a partition.
 * 5. `positions` and `peek` join no group, so they do not affect consumers and followers.
 */
/** A message to publish. */
export interface BusMessage {
  /** Messages with equal keys stay in order. Null: the bus chooses a partition. */
  readonly key: string | null;
  readonly value: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A message with its offset. */
export interface ReceivedMessage {
  readonly offset: bigint;
  readonly key: string | null;
  readonly value: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** Consecutive messages of one partition. */
export interface ReceivedBatch {
  readonly topic: string;
  readonly partition: number;
  readonly messages: readonly ReceivedMessage[];
}

/** The position of a group in one partition. */
export interface GroupPosition {
  readonly partition: number;
  /** The oldest offset that the bus holds; equals `end` if it holds no message. */
  readonly first: bigint;
  /** The offset of the next message to be published. */
  readonly end: bigint;
  /** The offset of the next message that the group reads; null if it has committed nothing. */
  readonly next: bigint | null;
}

/** A running subscription. `stop` resolves after its last handler has ended. */
export interface Subscription {
  stop(): Promise<void>;
}

/** The event bus. Methods throw BUS_UNAVAILABLE if the bus cannot be reached. */
export interface EventBus {
  /** Creates missing topics. */
  ensureTopics(topics: readonly string[]): Promise<void>;
  /** Appends messages. Throws BUS_UNAVAILABLE if they may not be durable. */
  publish(topic: string, messages: readonly BusMessage[]): Promise<void>;
  /** Reads a topic from the group's position, or from the first message. Resolves when the group is joined. */
  consume(group: string, topic: string, handler: (batch: ReceivedBatch) => Promise<void>): Promise<Subscription>;
  /** Reads messages that are published after it resolved, independent of every group. */
  follow(topic: string, handler: (batch: ReceivedBatch) => void): Promise<Subscription>;
  /** Returns the positions of each group in all partitions, in the order of `streams`. Empty for a missing topic. */
  positions(streams: readonly { readonly group: string; readonly topic: string }[]): Promise<GroupPosition[][]>;
  /** Returns up to `count` newest messages of a topic, ordered by partition and offset; null if it does not exist. */
  peek(topic: string, count: number): Promise<readonly ReceivedMessage[] | null>;
  ping(): Promise<void>;
  close(): Promise<void>;
}
