// NOTE TO THE STORE ENGINEER from the lead: I wrote the store adapters (offline-store-postgres, view-table-postgres, connection-postgres,
// dead-letter-postgres, online-store-memory, online-store-redis, migrations/001) because I needed them at once. Where yours are better, overwrite mine
// (delete leftovers). What I need from you soonest: embedded-postgres.ts, then the contract suites. Delete this note.
/**
 * The offline store on PostgreSQL: one schema for a project, one table for each view version.
 *
 * A commit runs, besides BEGIN and COMMIT: 3 statements for the locks, 1 for events, 1 for dead letters, and for each view
 * 1 insert and 1 read of what is newest; nothing for what is empty. READ COMMITTED is enough: the lock on the offset's row
 * puts commits of one partition one after the other, and the read of the newest rows comes after the insert.
 */
import { readdir, readFile } from 'node:fs/promises';
import type pg from 'pg';
import { type EntityKey, entityKey } from '../definition/entity-key.js';
import type { ViewVersion } from '../definition/view-version.js';
import { FStoreError } from '../errors.js';
import { createPool, inTransaction, reachable } from './connection-postgres.js';
import { listDeadLetters, replayDeadLetters, writeDeadLetters } from './dead-letter-postgres.js';
import type {
  CommitBatch,
  CommitResult,
  DeadLetter,
  NewRow,
  OfflineStore,
  StoredRow,
  TouchedEntity,
  ViewFill,
} from './offline-store.js';
import {
  describeTable,
  distinctKeys,
  keyArrays,
  parseRow,
  RAW_TEXT,
  rowsJson,
  type ViewTable,
} from './view-table-postgres.js';

export interface PostgresOfflineStoreOptions {
  readonly url: string;
  readonly project: string;
  readonly poolSize?: number;
  /** Milliseconds after which a read is given up. */
  readonly readTimeout?: number;
  readonly log?: (
    level: 'debug' | 'info' | 'warn' | 'error',
    message: string,
    fields?: Record<string, unknown>,
  ) => void;
}

const MIGRATIONS = new URL('./migrations/', import.meta.url);
const DUE_BATCH = 1_000;
const FILL_BATCH = 2_000;

/** Connects, and brings the project's schema to the newest migration. Throws STORE_UNAVAILABLE. */
export async function connectPostgresOfflineStore(options: PostgresOfflineStoreOptions): Promise<OfflineStore> {
  const { url, project, poolSize = 10, readTimeout = 2_000, log = () => {} } = options;
  const onError = (error: Error): void => log('warn', 'a connection to PostgreSQL was lost', { error: error.message });
  const pool = createPool({ url, size: poolSize, onError });
  const reads = createPool({ url, size: poolSize, statementTimeout: readTimeout, onError });
  const store = new PostgresOfflineStore(pool, reads, `"fstore_${project}"`);
  try {
    await store.migrate();
  } catch (error) {
    await store.close();
    throw error;
  }
  return store;
}

class PostgresOfflineStore implements OfflineStore {
  readonly #pool: pg.Pool;
  readonly #reads: pg.Pool;
  readonly #schema: string;
  readonly #tables = new WeakMap<ViewVersion, ViewTable>();
  readonly #prepared = new Set<string>();

  constructor(pool: pg.Pool, reads: pg.Pool, schema: string) {
    this.#pool = pool;
    this.#reads = reads;
    this.#schema = schema;
  }

  async migrate(): Promise<void> {
    const files = (await readdir(MIGRATIONS)).filter((file) => file.endsWith('.sql')).sort();
    await inTransaction(this.#pool, async (client) => {
      await client.query(`SELECT pg_advisory_xact_lock(hashtext('fstore migrations'))`);
      await client.query(`CREATE SCHEMA IF NOT EXISTS ${this.#schema}`);
      await client.query(
        `CREATE TABLE IF NOT EXISTS ${this.#schema}.migrations (file text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`,
      );
      const { rows } = await client.query<{ file: string }>(`SELECT file FROM ${this.#schema}.migrations`);
      const applied = new Set(rows.map((row) => row.file));
      await client.query(`SET LOCAL search_path TO ${this.#schema}`);
      for (const file of files.filter((one) => !applied.has(one))) {
        await client.query(await readFile(new URL(file, MIGRATIONS), 'utf8'));
        await client.query('INSERT INTO migrations (file) VALUES ($1)', [file]);
      }
    });
  }

  async prepare(views: readonly ViewVersion[]): Promise<void> {
    const wanted = new Map(views.map((view) => [view.table, view]));
    const missing = [...wanted.values()].filter((view) => !this.#prepared.has(view.table));
    if (missing.length === 0) return;
    const { rows } = await reachable(() =>
      this.#pool.query<{ name: string }>('SELECT tablename AS name FROM pg_tables WHERE schemaname = $1', [
        this.#schema.replaceAll('"', ''),
      ]),
    );
    const existing = new Set(rows.map((row) => row.name));
    const fresh = missing.filter((view) => !existing.has(view.table));
    if (fresh.length > 0) {
      await inTransaction(this.#pool, async (client) => {
        // CREATE … IF NOT EXISTS is not safe against itself in another session.
        await client.query(`SELECT pg_advisory_xact_lock(hashtext('fstore prepare'))`);
        await client.query(fresh.map((view) => this.#tableOf(view).ddl).join('\n'));
      });
    }
    for (const view of missing) this.#prepared.add(view.table);
  }

  async commit(batch: CommitBatch): Promise<CommitResult> {
    return inTransaction(this.#pool, async (client) => {
      const from = await this.#lockOffset(client, batch);
      const isNew = (one: { readonly offset: bigint }): boolean => one.offset >= from;
      const events = batch.events.filter(isNew);
      if (events.length > 0) await this.#writeEvents(client, batch, events);
      await writeDeadLetters(client, this.#schema, batch, batch.deadLetters.filter(isNew));
      const touched: TouchedEntity[] = [];
      for (const { view, rows } of batch.rows) {
        const fresh = rows.filter(isNew);
        if (fresh.length > 0) await this.#insert(client, view, fresh, batch.now);
        touched.push(...(await this.#newest(client, view, distinctKeys(rows), batch.now)));
      }
      if (batch.nextOffset > from) {
        await client.query(
          `UPDATE ${this.#schema}.consumed_offsets SET next_offset = $4 WHERE consumer = $1 AND topic = $2 AND partition = $3`,
          [batch.consumer, batch.topic, batch.partition, `${batch.nextOffset}`],
        );
      }
      return { written: events.length, touched };
    });
  }

  async valuesAt(view: ViewVersion, keys: readonly EntityKey[], asOf: number): Promise<(StoredRow | null)[]> {
    return reachable(() => this.#valuesAt(this.#reads, view, keys, asOf));
  }

  async takeDue(
    views: readonly ViewVersion[],
    now: number,
    publish: (touched: readonly TouchedEntity[]) => Promise<void>,
  ): Promise<number> {
    const { rows: due } = await reachable(() =>
      this.#pool.query(`SELECT 1 FROM ${this.#schema}.due_rows WHERE event_time <= $1 LIMIT 1`, [
        new Date(now).toISOString(),
      ]),
    );
    if (due.length === 0) return 0;
    return inTransaction(this.#pool, async (client) => {
      const { rows } = await client.query<{ id: string; view_table: string; key_parts: string[] }>(
        `DELETE FROM ${this.#schema}.due_rows WHERE id IN (
           SELECT id FROM ${this.#schema}.due_rows WHERE event_time <= $1 ORDER BY event_time LIMIT ${DUE_BATCH} FOR UPDATE SKIP LOCKED
         ) RETURNING id, view_table, key_parts`,
        [new Date(now).toISOString()],
      );
      const touched: TouchedEntity[] = [];
      for (const view of views) {
        const keys = rows
          .filter((row) => row.view_table === view.table)
          .map((row) => ({ key: entityKey(row.key_parts) }));
        touched.push(...(await this.#newest(client, view, distinctKeys(keys), now)));
      }
      // The rows are gone only if they were published: a failure rolls the deletion back.
      await publish(touched);
      return rows.length;
    });
  }

  deadLetters(source: string | null, limit: number): Promise<readonly DeadLetter[]> {
    return reachable(() => listDeadLetters(this.#pool, this.#schema, source, limit));
  }

  replayDeadLetters(
    ids: readonly string[],
    publish: (letters: readonly DeadLetter[]) => Promise<void>,
  ): Promise<number> {
    return inTransaction(this.#pool, (client) => replayDeadLetters(client, this.#schema, ids, publish));
  }

  async ping(): Promise<void> {
    await reachable(() => this.#reads.query('SELECT 1'));
  }

  async close(): Promise<void> {
    await Promise.all([this.#pool.end(), this.#reads.end()]);
  }

  #tableOf(view: ViewVersion): ViewTable {
    let table = this.#tables.get(view);
    if (!table) {
      table = describeTable(this.#schema, view);
      this.#tables.set(view, table);
    }
    return table;
  }

  async fill(source: string, revision: number, fills: readonly ViewFill[], now: number): Promise<number> {
    return inTransaction(this.#pool, async (client) => {
      // Commits of the source share this lock: what is logged so far is all that the views have to take over.
      await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [`${this.#schema} ${source}`]);
      const { rows: known } = await client.query<{ view_table: string }>(
        `SELECT view_table FROM ${this.#schema}.fills WHERE view_table = ANY($1)`,
        [fills.map(({ view }) => view.table)],
      );
      const filled = new Set(known.map((row) => row.view_table));
      const fresh = fills.filter(({ view }) => !filled.has(view.table));
      if (fresh.length === 0) return 0;
      let count = 0;
      for await (const events of this.#logged(client, source)) {
        count += events.length;
        for (const { view, read } of fresh) {
          const rows = events.flatMap(({ offset, payload }): NewRow[] => {
            const row = read(payload);
            return row ? [{ offset: BigInt(offset), ...row }] : [];
          });
          if (rows.length > 0) await this.#insert(client, view, rows, now);
        }
      }
      await client.query(
        `INSERT INTO ${this.#schema}.fills (view_table, source, revision) SELECT unnest($1::text[]), $2, $3`,
        [fresh.map(({ view }) => view.table), source, revision],
      );
      return count;
    });
  }

  async *#logged(client: pg.PoolClient, source: string): AsyncGenerator<{ offset: string; payload: string }[]> {
    let after: [topic: string, partition: number, offset: string] = ['', -1, '-1'];
    for (;;) {
      const { rows } = await client.query<{ topic: string; partition: number; offset: string; payload: string }>(
        `SELECT topic, partition, "offset", payload::text AS payload FROM ${this.#schema}.event_log
         WHERE source = $1 AND (topic, partition, "offset") > ($2, $3::integer, $4::bigint)
         ORDER BY topic, partition, "offset" LIMIT ${FILL_BATCH}`,
        [source, ...after],
      );
      const last = rows.at(-1);
      if (!last) return;
      yield rows;
      after = [last.topic, last.partition, last.offset];
    }
  }

  async #insert(client: pg.PoolClient, view: ViewVersion, rows: readonly NewRow[], now: number): Promise<void> {
    await client.query(this.#tableOf(view).insert, [rowsJson(view, rows)]);
    const later = rows.filter((row) => row.eventTime > now);
    await this.#writeDue(client, view, later);
  }

  /** Locks the partition's offset and returns it. Throws DEFINITIONS_STALE. */
  async #lockOffset(
    client: pg.PoolClient,
    { consumer, topic, partition, source, revision }: CommitBatch,
  ): Promise<bigint> {
    const place = [consumer, topic, partition];
    await client.query('SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 0))', [`${this.#schema} ${source}`]);
    await client.query(
      `INSERT INTO ${this.#schema}.consumed_offsets (consumer, topic, partition, next_offset) VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING`,
      place,
    );
    const { rows } = await client.query<{ next_offset: string; filled: number }>(
      `SELECT next_offset, (SELECT coalesce(max(revision), 0) FROM ${this.#schema}.fills WHERE source = $4) AS filled
       FROM ${this.#schema}.consumed_offsets WHERE consumer = $1 AND topic = $2 AND partition = $3 FOR UPDATE`,
      [...place, source],
    );
    const filled = rows[0]?.filled ?? 0;
    if (filled > revision) {
      throw new FStoreError(
        'DEFINITIONS_STALE',
        `the batch is of revision ${revision}, source ${source} is at ${filled}`,
      );
    }
    return BigInt(rows[0]?.next_offset ?? 0);
  }

  async #writeEvents(
    client: pg.PoolClient,
    { source, topic, partition }: CommitBatch,
    events: CommitBatch['events'],
  ): Promise<void> {
    await client.query(
      `INSERT INTO ${this.#schema}.event_log (source, topic, partition, "offset", event_time, payload)
       SELECT $1, $2, $3, * FROM unnest($4::bigint[], $5::timestamptz[], $6::json[])`,
      [
        source,
        topic,
        partition,
        events.map((event) => `${event.offset}`),
        events.map((event) => new Date(event.eventTime).toISOString()),
        events.map((event) => event.payload),
      ],
    );
  }

  async #writeDue(client: pg.PoolClient, view: ViewVersion, rows: readonly NewRow[]): Promise<void> {
    for (const row of rows) {
      await client.query(
        `INSERT INTO ${this.#schema}.due_rows (view_table, key_parts, event_time) VALUES ($1, $2, $3)`,
        [view.table, row.key.parts, new Date(row.eventTime).toISOString()],
      );
    }
  }

  async #newest(
    client: pg.PoolClient,
    view: ViewVersion,
    keys: readonly EntityKey[],
    now: number,
  ): Promise<TouchedEntity[]> {
    if (keys.length === 0) return [];
    const rows = await this.#valuesAt(client, view, keys, now);
    return keys.map((key, index) => ({ view, key, row: rows[index] ?? null }));
  }

  async #valuesAt(
    on: pg.Pool | pg.PoolClient,
    view: ViewVersion,
    keys: readonly EntityKey[],
    asOf: number,
  ): Promise<(StoredRow | null)[]> {
    if (keys.length === 0) return [];
    const { rows } = await on.query<(string | null)[]>({
      text: this.#tableOf(view).valuesAt,
      values: [...keyArrays(view, keys), new Date(asOf).toISOString()],
      rowMode: 'array',
      types: RAW_TEXT,
    });
    return rows.map((record) => parseRow(view, record));
  }
}
