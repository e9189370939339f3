/**
 * The event bus in PostgreSQL: for the embedded default, and for loads that one PostgreSQL server can carry.
 *
 * Boundary: the port. `event-bus-schema-postgres.ts` assigns offsets, and `event-bus-groups-postgres.ts` partitions.
 * A process uses one session for locks and notifications, and a small pool for everything else.
 */
import pg from 'pg';
import { FStoreError, withCode } from '../errors.js';
import type { BusMessage, EventBus, GroupPosition, ReceivedBatch, ReceivedMessage, Subscription } from './event-bus.js';
import { PostgresPartitionConsumption } from './event-bus-consumption-postgres.js';
import { PostgresFollower } from './event-bus-follower-postgres.js';
import { PostgresConsumerGroups } from './event-bus-groups-postgres.js';
import type { BusLog } from './event-bus-log.js';
import { PostgresTopicReader } from './event-bus-reader-postgres.js';
import { PostgresRetention } from './event-bus-retention-postgres.js';
import { prepareBusSchema } from './event-bus-schema-postgres.js';
import { GROUPS_CHANNEL, PostgresBusSession } from './event-bus-session-postgres.js';
import { newestStretches } from './sample-stretch.js';

/** How to connect to PostgreSQL. */
export interface PostgresBusOptions {
  readonly url: string;
  /** Partitions of topics that FStore creates; default 4. */
  readonly partitions?: number;
  /** Milliseconds to keep a message; default 7 days. A message that a group has not read is kept longer. */
  readonly retentionMs?: number;
  readonly log?: BusLog;
}

const CONNECT_TIMEOUT = 3_000;
const STATEMENT_TIMEOUT = 15_000;
const POOL_SIZE = 5;
const WEEK = 7 * 24 * 3_600_000;
const CHUNK_MESSAGES = 2_000;
const CHUNK_BYTES = 4_000_000;

/** Connects to PostgreSQL and creates missing tables. Throws BUS_UNAVAILABLE. */
export async function connectPostgresBus(options: PostgresBusOptions): Promise<EventBus> {
  const bus = new PostgresBus(options);
  try {
    await bus.open();
  } catch (error) {
    await bus.close();
    throw error;
  }
  return bus;
}

function reachable<T>(work: () => Promise<T>): Promise<T> {
  return withCode('BUS_UNAVAILABLE', 'PostgreSQL', work);
}

/** FNV-1a over the bytes of a key. */
function hashOf(key: Buffer): number {
  let hash = 0x811c9dc5;
  for (const byte of key) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}

function* chunksOf(messages: readonly BusMessage[]): Generator<readonly BusMessage[]> {
  let start = 0;
  let bytes = 0;
  for (const [index, { value }] of messages.entries()) {
    if (index > start && (index - start >= CHUNK_MESSAGES || bytes + value.length > CHUNK_BYTES)) {
      yield messages.slice(start, index);
      start = index;
      bytes = 0;
    }
    bytes += value.length;
  }
  if (start < messages.length) yield messages.slice(start);
}

class PostgresBus implements EventBus {
  readonly #pool: pg.Pool;
  readonly #partitions: number;
  readonly #log: BusLog;
  readonly #session: PostgresBusSession;
  readonly #groups: PostgresConsumerGroups;
  readonly #reader: PostgresTopicReader;
  readonly #retention: PostgresRetention;
  readonly #subscriptions = new Set<Subscription>();
  /** The number of partitions of each topic, which never changes. */
  readonly #topics = new Map<string, number>();
  #turn = 0;

  constructor({ url, partitions = 4, retentionMs = WEEK, log = () => {} }: PostgresBusOptions) {
    this.#partitions = partitions;
    this.#log = log;
    this.#pool = new pg.Pool({
      connectionString: url,
      max: POOL_SIZE,
      connectionTimeoutMillis: CONNECT_TIMEOUT,
      query_timeout: STATEMENT_TIMEOUT,
      keepAlive: true,
      application_name: 'fstore bus',
    });
    // The pool replaces an idle connection that drops. Without a listener, the error event would end the process.
    const lost = (error: Error): void =>
      log('debug', 'a connection of the event bus dropped', { error: error.message });
    this.#pool.on('error', lost);
    this.#pool.on('connect', (client) => void client.on('error', lost));
    this.#reader = new PostgresTopicReader(this.#pool, log);
    this.#session = new PostgresBusSession(url, log, {
      opened: () => {
        void this.#groups.balance();
        this.#reader.wakeAll();
      },
      lost: () => this.#groups.lost(),
      notified: (channel, payload) => {
        if (channel === GROUPS_CHANNEL) void this.#groups.balance();
        else this.#reader.grown(payload);
      },
    });
    this.#groups = new PostgresConsumerGroups(this.#session, log);
    this.#retention = new PostgresRetention(this.#pool, retentionMs, log);
  }

  open(): Promise<void> {
    return reachable(async () => {
      const client = await this.#pool.connect();
      try {
        await prepareBusSchema(client);
      } finally {
        client.release();
      }
      await this.#session.open();
    });
  }

  async ensureTopics(topics: readonly string[]): Promise<void> {
    const missing = topics.filter((topic) => !this.#topics.has(topic));
    if (missing.length === 0) return;
    await reachable(() =>
      // Sorted, so that two processes that create the same topics cannot deadlock.
      this.#pool.query(
        `WITH created AS (
           INSERT INTO fstore_bus.topics (topic, partitions)
           SELECT DISTINCT topic, $2::int FROM unnest($1::text[]) AS t (topic) ORDER BY topic
           ON CONFLICT DO NOTHING RETURNING topic, partitions
         )
         INSERT INTO fstore_bus.partitions (topic, partition)
         SELECT topic, p FROM created, generate_series(0, partitions - 1) p`,
        [missing, this.#partitions],
      ),
    );
    for (const topic of missing) await this.#partitionsOf(topic);
  }

  async publish(topic: string, messages: readonly BusMessage[]): Promise<void> {
    if (messages.length === 0) return;
    const partitions = await this.#partitionsOf(topic);
    for (const chunk of chunksOf(messages)) {
      const keys = chunk.map(({ key }) => (key === null ? null : Buffer.from(key, 'utf8')));
      await reachable(() =>
        this.#pool.query('SELECT fstore_bus.publish($1, $2, $3, $4, $5)', [
          topic,
          keys.map((key) => (key ? hashOf(key) : this.#nextTurn()) % partitions),
          keys,
          chunk.map(({ value }) => value),
          chunk.map(({ headers = {} }) => JSON.stringify(headers)),
        ]),
      );
    }
  }

  async consume(group: string, topic: string, handler: (batch: ReceivedBatch) => Promise<void>): Promise<Subscription> {
    const partitions = await this.#partitionsOf(topic);
    const reader = this.#reader;
    const log = this.#log;
    const leave = await reachable(() =>
      this.#groups.join({
        group,
        topic,
        partitions,
        read: (lease) => new PostgresPartitionConsumption({ topic, lease, reader, handler, log }),
      }),
    );
    return this.#track(leave);
  }

  async follow(topic: string, handler: (batch: ReceivedBatch) => void): Promise<Subscription> {
    await this.#partitionsOf(topic);
    const from = await reachable(() => this.#reader.ends(topic));
    const follower = new PostgresFollower({ topic, reader: this.#reader, handler, log: this.#log, from });
    return this.#track(() => follower.stop());
  }

  async positions(streams: readonly { readonly group: string; readonly topic: string }[]): Promise<GroupPosition[][]> {
    if (streams.length === 0) return [];
    const found = await reachable(() => this.#reader.positions(streams));
    return streams.map((_, index) => found.get(index) ?? []);
  }

  async peek(topic: string, count: number): Promise<readonly ReceivedMessage[] | null> {
    const [held = []] = await this.positions([{ group: '', topic }]);
    if (held.length === 0) return null;
    const messages: ReceivedMessage[] = [];
    for (const { partition, from, to } of newestStretches(held, count)) {
      for (let next = from; next < to; ) {
        const read = await reachable(() => this.#reader.read(topic, partition, next));
        const last = read.at(-1);
        if (!last) break;
        messages.push(...read.filter(({ offset }) => offset < to));
        next = last.offset + 1n;
      }
    }
    return messages;
  }

  async ping(): Promise<void> {
    await reachable(() => this.#pool.query('SELECT 1'));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#subscriptions].map((subscription) => subscription.stop()));
    this.#groups.close();
    await this.#retention.stop();
    await this.#reader.close();
    await this.#session.close();
    if (!this.#pool.ending) await this.#pool.end();
  }

  #track(stop: () => Promise<void>): Subscription {
    let stopping: Promise<void> | null = null;
    const subscription: Subscription = {
      stop: () => {
        stopping ??= stop().finally(() => this.#subscriptions.delete(subscription));
        return stopping;
      },
    };
    this.#subscriptions.add(subscription);
    return subscription;
  }

  async #partitionsOf(topic: string): Promise<number> {
    const known = this.#topics.get(topic);
    if (known) return known;
    const { rows } = await reachable(() =>
      this.#pool.query<{ partitions: number }>('SELECT partitions FROM fstore_bus.topics WHERE topic = $1', [topic]),
    );
    const partitions = rows[0]?.partitions;
    if (!partitions) throw new FStoreError('BUS_UNAVAILABLE', `the event bus has no topic "${topic}"`);
    this.#topics.set(topic, partitions);
    return partitions;
  }

  #nextTurn(): number {
    this.#turn = (this.#turn + 1) % 0x7fffffff;
    return this.#turn;
  }
}
