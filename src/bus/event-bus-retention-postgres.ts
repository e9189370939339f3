/**
 * Deletes old messages of the bus in PostgreSQL.
 *
 * Invariant: a message is deleted only when it is older than the retention *and* every group that ever joined its topic
 * has read it.
 */
import type pg from 'pg';
import type { BusLog } from './event-bus-log.js';

const LONGEST_INTERVAL = 600_000;
const SHORTEST_INTERVAL = 500;
/** Messages that one statement deletes. Small, so that locks and write-ahead log do not pile up. */
const CHUNK = 5_000;

/** The periodic deletion of old messages. `retention` is in milliseconds. */
export class PostgresRetention {
  readonly #pool: pg.Pool;
  readonly #retention: number;
  readonly #log: BusLog;
  readonly #timer: NodeJS.Timeout;
  #running: Promise<void> | null = null;
  #stopped = false;

  constructor(pool: pg.Pool, retention: number, log: BusLog) {
    this.#pool = pool;
    this.#retention = retention;
    this.#log = log;
    const interval = Math.max(Math.min(retention, LONGEST_INTERVAL), SHORTEST_INTERVAL);
    this.#timer = setInterval(() => {
      this.#running ??= this.#sweep().finally(() => {
        this.#running = null;
      });
    }, interval).unref();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#running;
  }

  async #sweep(): Promise<void> {
    try {
      const { rows } = await this.#pool.query<{ topic: string; partition: number; read: string }>(
        `SELECT topic, partition, least(p.next_offset, (
           SELECT min(g.next_offset) FROM fstore_bus.positions g
           WHERE g.topic = p.topic AND g.partition = p.partition
         )) AS read FROM fstore_bus.partitions p`,
      );
      for (const { topic, partition, read } of rows) await this.#delete(topic, partition, read);
    } catch (error) {
      this.#log('warn', 'old messages could not be deleted', { error: (error as Error).message });
    }
  }

  async #delete(topic: string, partition: number, below: string): Promise<void> {
    let deleted = CHUNK;
    while (deleted === CHUNK && !this.#stopped) {
      const { rowCount } = await this.#pool.query(
        `DELETE FROM fstore_bus.messages WHERE topic = $1 AND partition = $2
           AND published_at < clock_timestamp() - make_interval(secs => $4)
           AND "offset" IN (
             SELECT "offset" FROM fstore_bus.messages
             WHERE topic = $1 AND partition = $2 AND "offset" < $3 ORDER BY "offset" LIMIT $5
           )`,
        [topic, partition, below, this.#retention / 1_000, CHUNK],
      );
      deleted = rowCount ?? 0;
    }
  }
}
