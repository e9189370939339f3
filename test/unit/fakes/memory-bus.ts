/** An event bus with one partition in memory, for unit tests. */
import type {
  BusMessage,
  EventBus,
  GroupPosition,
  ReceivedBatch,
  ReceivedMessage,
  Subscription,
} from '../../../src/bus/event-bus.js';

/** Keeps messages in memory and delivers them at once. */
export class MemoryBus implements EventBus {
  readonly topics = new Map<string, ReceivedMessage[]>();
  readonly #readers = new Map<string, Set<(batch: ReceivedBatch) => unknown>>();

  async ensureTopics(topics: readonly string[]): Promise<void> {
    for (const topic of topics) if (!this.topics.has(topic)) this.topics.set(topic, []);
  }

  async publish(topic: string, messages: readonly BusMessage[]): Promise<void> {
    await this.ensureTopics([topic]);
    const log = this.topics.get(topic)!;
    const added = messages.map(({ key, value, headers = {} }, index) => ({
      offset: BigInt(log.length + index),
      key,
      value,
      headers,
    }));
    log.push(...added);
    for (const reader of this.#readers.get(topic) ?? []) await reader({ topic, partition: 0, messages: added });
  }

  async consume(
    _group: string,
    topic: string,
    handler: (batch: ReceivedBatch) => Promise<void>,
  ): Promise<Subscription> {
    const messages = this.topics.get(topic) ?? [];
    if (messages.length > 0) await handler({ topic, partition: 0, messages });
    return this.follow(topic, handler);
  }

  async follow(topic: string, handler: (batch: ReceivedBatch) => unknown): Promise<Subscription> {
    const readers = this.#readers.get(topic) ?? new Set();
    this.#readers.set(topic, readers.add(handler));
    return { stop: async () => void readers.delete(handler) };
  }

  async positions(streams: readonly { readonly topic: string }[]): Promise<GroupPosition[][]> {
    return streams.map(({ topic }) => {
      const log = this.topics.get(topic);
      const end = BigInt(log?.length ?? 0);
      return log ? [{ partition: 0, first: 0n, end, next: end }] : [];
    });
  }

  async peek(topic: string, count: number): Promise<readonly ReceivedMessage[] | null> {
    return this.topics.get(topic)?.slice(-count) ?? null;
  }

  async ping(): Promise<void> {}
  async close(): Promise<void> {}
}
