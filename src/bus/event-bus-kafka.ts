/**
 * The event bus on Kafka.
 *
 * Boundary: the port. The files `event-bus-*-kafka.ts` contain what keeps messages durable and in order.
 */
import { type Admin, Kafka, logLevel, Partitioners, type PartitionMetadata } from 'kafkajs';
import { FStoreError, withCode } from '../errors.js';
import type { BusMessage, EventBus, GroupPosition, ReceivedBatch, ReceivedMessage, Subscription } from './event-bus.js';
import { KafkaConsumption } from './event-bus-consumption-kafka.js';
import { KafkaFollower } from './event-bus-follower-kafka.js';
import type { BusLog } from './event-bus-log.js';
import { peekKafka } from './event-bus-peek-kafka.js';
import { KafkaPublisher, type PlacedMessage } from './event-bus-publisher-kafka.js';
import { pause, pauseAfter, within } from './event-bus-timing.js';
import { newestStretches } from './sample-stretch.js';

/** How to connect to Kafka. */
export interface KafkaBusOptions {
  readonly brokers: readonly string[];
  readonly clientId?: string;
  /** Partitions of topics that FStore creates; default 4. */
  readonly partitions?: number;
  /** Copies of each message; default 3, or the number of brokers if there are fewer. */
  readonly replicationFactor?: number;
  /** Milliseconds without a heartbeat after which a consumer is replaced; default 10 s. */
  readonly sessionTimeout?: number;
  readonly log?: BusLog;
}

const CONNECT_TIMEOUT = 3_000;
const SESSION_TIMEOUT = 10_000;
const REQUEST_TIMEOUT = 10_000;
const PING_TIMEOUT = 5_000;
const SETTLE_TIMEOUT = 15_000;
/** Shorter than SETTLE_TIMEOUT, because a client waits for the answer. */
const LOOK_PATIENCE = 3_000;
/** Groups whose positions are requested at the same time. */
const POSITIONS_AT_ONCE = 16;

/** Connects to Kafka. Throws BUS_UNAVAILABLE. */
export async function connectKafkaBus(options: KafkaBusOptions): Promise<EventBus> {
  const bus = new KafkaBus(options);
  try {
    await bus.open();
  } catch (error) {
    await bus.close();
    throw error;
  }
  return bus;
}

function reachable<T>(work: () => Promise<T>): Promise<T> {
  return withCode('BUS_UNAVAILABLE', 'Kafka', work);
}

function createClient({ brokers, clientId = 'fstore' }: KafkaBusOptions, log: BusLog): Kafka {
  return new Kafka({
    brokers: [...brokers],
    clientId,
    connectionTimeout: CONNECT_TIMEOUT,
    requestTimeout: REQUEST_TIMEOUT,
    retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 5 },
    logLevel: logLevel.WARN,
    // kafkajs retries what it logs as errors. Failures that remain reach the caller, or are logged here as warnings.
    logCreator: () => (entry) => {
      const { message, timestamp: _, logger: _logger, stack: _stack, ...fields } = entry.log;
      log('debug', `kafkajs: ${message}`, { ...fields, namespace: entry.namespace });
    },
  });
}

class KafkaBus implements EventBus {
  readonly #options: KafkaBusOptions;
  readonly #log: BusLog;
  readonly #sessionTimeout: number;
  readonly #kafka: Kafka;
  readonly #admin: Admin;
  readonly #publisher: KafkaPublisher;
  readonly #partitionOfKey = Partitioners.DefaultPartitioner();
  readonly #topics = new Map<string, readonly PartitionMetadata[]>();
  readonly #subscriptions = new Set<Subscription>();
  readonly #closing = new AbortController();
  #turn = 0;

  constructor(options: KafkaBusOptions) {
    this.#options = options;
    this.#log = options.log ?? (() => {});
    this.#sessionTimeout = options.sessionTimeout ?? SESSION_TIMEOUT;
    this.#kafka = createClient(options, this.#log);
    this.#admin = this.#kafka.admin({ retry: { initialRetryTime: 100, maxRetryTime: 1_000, retries: 3 } });
    this.#publisher = new KafkaPublisher(this.#kafka, this.#log);
  }

  open(): Promise<void> {
    return reachable(() => this.#admin.connect());
  }

  async ensureTopics(topics: readonly string[]): Promise<void> {
    const unknown = [...new Set(topics)].filter((topic) => !this.#topics.has(topic));
    if (unknown.length === 0) return;
    await this.#reachable(async () => {
      const existing = new Set(await this.#admin.listTopics());
      const missing = unknown.filter((topic) => !existing.has(topic));
      if (missing.length > 0) await this.#create(missing);
      for (const topic of unknown) await this.#patiently(() => this.#partitionsOf(topic));
    });
  }

  async publish(topic: string, messages: readonly BusMessage[]): Promise<void> {
    if (messages.length === 0) return;
    const partitionMetadata = [...(await this.#partitionsOf(topic))];
    const placed = messages.map(({ key, value, headers = {} }): PlacedMessage => {
      if (key === null) return { key, value, headers, partition: this.#nextTurn() % partitionMetadata.length };
      const message = { key: Buffer.from(key, 'utf8'), value, headers };
      return { ...message, partition: this.#partitionOfKey({ topic, partitionMetadata, message }) };
    });
    try {
      await this.#reachable(() => this.#publisher.publish(topic, placed));
    } catch (error) {
      // The topic may have been recreated with a different number of partitions.
      this.#topics.delete(topic);
      throw error;
    }
  }

  async consume(group: string, topic: string, handler: (batch: ReceivedBatch) => Promise<void>): Promise<Subscription> {
    const partitions = (await this.#partitionsOf(topic)).length;
    const [kafka, log] = [this.#kafka, this.#log];
    return this.#join(
      new KafkaConsumption({ kafka, group, topic, partitions, sessionTimeout: this.#sessionTimeout, handler, log }),
    );
  }

  async follow(topic: string, handler: (batch: ReceivedBatch) => void): Promise<Subscription> {
    await this.#partitionsOf(topic);
    const ends = await this.#reachable(() => this.#patiently(() => this.#admin.fetchTopicOffsets(topic)));
    const from = new Map(ends.map(({ partition, high }) => [partition, BigInt(high)]));
    const [kafka, admin, log] = [this.#kafka, this.#admin, this.#log];
    return this.#join(
      new KafkaFollower({ kafka, admin, topic, from, sessionTimeout: this.#sessionTimeout, handler, log }),
    );
  }

  async positions(streams: readonly { readonly group: string; readonly topic: string }[]): Promise<GroupPosition[][]> {
    if (streams.length === 0) return [];
    return this.#reachable(async () => {
      const existing = new Set(await this.#admin.listTopics());
      const answers: GroupPosition[][] = [];
      for (let at = 0; at < streams.length; at += POSITIONS_AT_ONCE) {
        const some = streams.slice(at, at + POSITIONS_AT_ONCE);
        const positions = some.map(({ group, topic }) => (existing.has(topic) ? this.#positionsOf(group, topic) : []));
        answers.push(...(await Promise.all(positions)));
      }
      return answers;
    });
  }

  async #positionsOf(group: string, topic: string): Promise<GroupPosition[]> {
    const [ends, committed] = await Promise.all([
      this.#patiently(() => this.#admin.fetchTopicOffsets(topic), LOOK_PATIENCE),
      this.#admin.fetchOffsets({ groupId: group, topics: [topic] }),
    ]);
    const next = new Map(committed[0]?.partitions.map(({ partition, offset }) => [partition, BigInt(offset)]));
    return ends
      .map(({ partition, low, high }) => {
        const own = next.get(partition) ?? -1n;
        return { partition, first: BigInt(low), end: BigInt(high), next: own < 0n ? null : own };
      })
      .sort((a, b) => a.partition - b.partition);
  }

  async peek(topic: string, count: number): Promise<readonly ReceivedMessage[] | null> {
    return this.#reachable(async () => {
      if (!(await this.#admin.listTopics()).includes(topic)) return null;
      const ends = await this.#patiently(() => this.#admin.fetchTopicOffsets(topic), LOOK_PATIENCE);
      const held = ends.map(({ partition, low, high }) => ({ partition, first: BigInt(low), end: BigInt(high) }));
      const [kafka, admin, log] = [this.#kafka, this.#admin, this.#log];
      const stretches = newestStretches(held, count);
      return peekKafka({ kafka, admin, topic, stretches, sessionTimeout: this.#sessionTimeout, log });
    });
  }

  async ping(): Promise<void> {
    await this.#reachable(() => within(PING_TIMEOUT, this.#admin.describeCluster()));
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.stop()));
    await this.#publisher.close();
    await this.#admin.disconnect().catch(() => {});
  }

  async #join(subscription: Subscription & { join(): Promise<void> }): Promise<Subscription> {
    let stopping: Promise<void> | null = null;
    const tracked: Subscription = {
      stop: () => {
        stopping ??= subscription.stop().finally(() => this.#subscriptions.delete(tracked));
        return stopping;
      },
    };
    this.#subscriptions.add(tracked);
    try {
      await this.#reachable(() => subscription.join());
    } catch (error) {
      await tracked.stop();
      throw error;
    }
    return tracked;
  }

  /** Refuses calls after `close`, because kafkajs reconnects a closed client when it is used. */
  #reachable<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closing.signal.aborted) return Promise.reject(new FStoreError('BUS_UNAVAILABLE', 'Kafka: closed'));
    return reachable(work);
  }

  async #create(topics: readonly string[]): Promise<void> {
    const { partitions = 4 } = this.#options;
    const { brokers } = await this.#admin.describeCluster();
    const replicationFactor = this.#options.replicationFactor ?? Math.min(3, brokers.length);
    // With fewer replicas in sync, the loss of one broker could lose a confirmed write.
    const configEntries = replicationFactor >= 3 ? [{ name: 'min.insync.replicas', value: '2' }] : [];
    // `createTopics` returns false, and does not throw, if another process creates the topics at the same time.
    await this.#admin.createTopics({
      waitForLeaders: false,
      topics: topics.map((topic) => ({ topic, numPartitions: partitions, replicationFactor, configEntries })),
    });
  }

  /** Retries while some brokers do not know a newly created topic yet. */
  async #patiently<T>(work: () => Promise<T>, patience = SETTLE_TIMEOUT): Promise<T> {
    const deadline = Date.now() + patience;
    for (let failures = 1; ; failures += 1) {
      try {
        return await work();
      } catch (error) {
        if (Date.now() > deadline || this.#closing.signal.aborted) throw error;
        await pause(Math.min(pauseAfter(failures), 500), this.#closing.signal);
      }
    }
  }

  /** Returns the partitions of a topic. Throws BUS_UNAVAILABLE unless all of them have a leader. */
  async #partitionsOf(topic: string): Promise<readonly PartitionMetadata[]> {
    const known = this.#topics.get(topic);
    if (known) return known;
    const { topics } = await this.#reachable(() => this.#admin.fetchTopicMetadata({ topics: [topic] }));
    const partitions = topics.find((one) => one.name === topic)?.partitions ?? [];
    if (partitions.length === 0 || partitions.some(({ leader }) => leader < 0)) {
      throw new FStoreError('BUS_UNAVAILABLE', `Kafka has no leader for every partition of "${topic}"`);
    }
    this.#topics.set(topic, partitions);
    return partitions;
  }

  #nextTurn(): number {
    this.#turn = (this.#turn + 1) % 0x7fffffff;
    return this.#turn;
  }
}
