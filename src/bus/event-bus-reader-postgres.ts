/**
 * Reads messages of the bus in PostgreSQL, and wakes readers when there are new ones.
 *
 * Invariants
 * 1. A reader wakes when its partition has grown past its position: at once by the publisher's notification, or by the
 *    poll. The poll is one statement for all partitions, so an idle process costs one statement a second.
 * 2. One read is bounded in messages and bytes, and returns at least one message if there is one.
 */
import type pg from 'pg';
import type { GroupPosition, ReceivedMessage } from './event-bus.js';
import type { BusLog } from './event-bus-log.js';

const POLL_INTERVAL = 1_000;
const MAX_MESSAGES = 2_000;
const MAX_BYTES = 16_000_000;

interface Reader {
  readonly topic: string;
  readonly partition: number;
  /** The next offset that the reader needs. */
  readonly position: () => bigint;
  readonly wake: () => void;
}

interface MessageRow {
  readonly offset: string;
  readonly key: Buffer | null;
  readonly value: Buffer;
  readonly headers: Record<string, string>;
}

/** Reads topics, and notifies readers of growth. */
export class PostgresTopicReader {
  readonly #pool: pg.Pool;
  readonly #log: BusLog;
  readonly #readers = new Map<string, Set<Reader>>();
  #timer: NodeJS.Timeout | null = null;
  #polling: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(pool: pg.Pool, log: BusLog) {
    this.#pool = pool;
    this.#log = log;
  }

  /** Returns messages of a partition in order, from an offset on. */
  async read(topic: string, partition: number, from: bigint): Promise<ReceivedMessage[]> {
    const { rows } = await this.#pool.query<MessageRow>(
      `SELECT "offset", key, value, headers FROM (
         SELECT *, sum(octet_length(value)) OVER (ORDER BY "offset") - octet_length(value) AS bytes_before FROM (
           SELECT "offset", key, value, headers FROM fstore_bus.messages
           WHERE topic = $1 AND partition = $2 AND "offset" >= $3 ORDER BY "offset" LIMIT $4
         ) m
       ) n WHERE bytes_before < $5 ORDER BY "offset"`,
      [topic, partition, `${from}`, MAX_MESSAGES, MAX_BYTES],
    );
    return rows.map(({ offset, key, value, headers }) => ({
      offset: BigInt(offset),
      key: key === null ? null : key.toString('utf8'),
      value,
      headers,
    }));
  }

  /** Returns the next offset of each partition of a topic. */
  async ends(topic: string): Promise<Map<number, bigint>> {
    const sql = 'SELECT partition, next_offset FROM fstore_bus.partitions WHERE topic = $1';
    const { rows } = await this.#pool.query<{ partition: number; next_offset: string }>(sql, [topic]);
    return new Map(rows.map((row) => [row.partition, BigInt(row.next_offset)]));
  }

  /** Returns the positions of groups in their topics, by index in `streams`. */
  async positions(
    streams: readonly { readonly group: string; readonly topic: string }[],
  ): Promise<Map<number, GroupPosition[]>> {
    const { rows } = await this.#pool.query<{
      place: number;
      partition: number;
      first: string;
      end: string;
      next: string | null;
    }>(
      `SELECT s.place::int - 1 AS place, p.partition, coalesce(m."offset", p.next_offset) AS first, p.next_offset AS "end",
         g.next_offset AS next
       FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS s (group_id, topic, place)
       JOIN fstore_bus.partitions AS p USING (topic)
       LEFT JOIN fstore_bus.positions AS g USING (group_id, topic, partition)
       LEFT JOIN LATERAL (SELECT "offset" FROM fstore_bus.messages AS m
         WHERE m.topic = p.topic AND m.partition = p.partition ORDER BY "offset" LIMIT 1) AS m ON true
       ORDER BY s.place, p.partition`,
      [streams.map(({ group }) => group), streams.map(({ topic }) => topic)],
    );
    const found = new Map<number, GroupPosition[]>();
    for (const { place, partition, first, end, next } of rows) {
      const list = found.get(place) ?? [];
      list.push({ partition, first: BigInt(first), end: BigInt(end), next: next === null ? null : BigInt(next) });
      found.set(place, list);
    }
    return found;
  }

  /** Calls `wake` when the partition may have grown past the reader's position. Returns a function to unsubscribe. */
  onGrowth(reader: Reader): () => void {
    const readers = this.#readers.get(reader.topic) ?? new Set();
    this.#readers.set(reader.topic, readers.add(reader));
    this.#schedule();
    return () => {
      readers.delete(reader);
      if (readers.size === 0 && this.#readers.get(reader.topic) === readers) this.#readers.delete(reader.topic);
    };
  }

  /** Handles a notification of a publisher. */
  grown(payload: string): void {
    const space = payload.indexOf(' ');
    const partitions = new Set(payload.slice(0, space).split(',').map(Number));
    for (const reader of this.#readers.get(payload.slice(space + 1)) ?? []) {
      if (partitions.has(reader.partition)) reader.wake();
    }
  }

  /** Wakes all readers, because notifications may have been missed. */
  wakeAll(): void {
    for (const readers of this.#readers.values()) for (const reader of readers) reader.wake();
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
    await this.#polling;
  }

  #schedule(): void {
    if (this.#timer || this.#closed) return;
    this.#timer = setTimeout(() => {
      this.#polling = this.#poll().finally(() => {
        this.#timer = null;
        if (this.#readers.size > 0) this.#schedule();
      });
    }, POLL_INTERVAL);
    this.#timer.unref();
  }

  async #poll(): Promise<void> {
    try {
      const { rows } = await this.#pool.query<{ topic: string; partition: number; next_offset: string }>(
        'SELECT topic, partition, next_offset FROM fstore_bus.partitions WHERE topic = ANY ($1)',
        [[...this.#readers.keys()]],
      );
      for (const { topic, partition, next_offset } of rows) {
        const end = BigInt(next_offset);
        for (const reader of this.#readers.get(topic) ?? []) {
          if (reader.partition === partition && reader.position() < end) reader.wake();
        }
      }
    } catch (error) {
      this.#log('debug', 'the event bus could not be polled', { error: (error as Error).message });
    }
  }
}
