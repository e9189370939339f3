/**
 * The offline store on PostgreSQL: one schema for each project, one table for each view version.
 *
 * Besides BEGIN and COMMIT, a commit runs 4 statements for locks and the offset, 1 for events, and 1 for dead letters.
 * For each view it runs 1 insert, 1 statement for rows that are not due yet, and 1 read of the newest rows. Empty steps
 * are skipped, and the number of statements does not grow with the number of rows.
 *
 * READ COMMITTED suffices. The lock on the offset's row serializes commits of a partition, so each later statement sees
 * what was committed before. The newest rows are read after the insert.
 */
import type pg from 'pg';
import type { TileSet } from '../aggregation/tile-set.js';
import type { SourceMeaning } from '../definition/definition-record.js';
import type { EntityKey } from '../definition/entity-key.js';
import type { ViewVersion } from '../definition/view-version.js';
import { FStoreError } from '../errors.js';
import { RAW_TEXT } from './column-postgres.js';
import { createPool, inTransaction, reachable } from './connection-postgres.js';
import { listDeadLetters, replayDeadLetters, writeDeadLetters } from './dead-letter-postgres.js';
import { type DueRow, hasDueRows, takeDueRows, writeDueRows } from './due-row-postgres.js';
import {
  advanceOffset,
  checkSameTopic,
  lockOffset,
  lockSource,
  loggedEvents,
  writeEvents,
} from './event-log-postgres.js';
import { migrate } from './migration-postgres.js';
import type {
  CommitBatch,
  CommitResult,
  DeadLetter,
  FillRequest,
  NewRow,
  OfflineStore,
  PointInTimeOptions,
  StoredRow,
  TouchedEntity,
  ViewFill,
} from './offline-store.js';
import type { RowTable } from './query-reader.js';
import { readSourceEvents } from './source-events-postgres.js';
import { refuseUnmerged } from './staged-log-postgres.js';
import { addFilled, handOver, readStandings, takeBack } from './view-fill-postgres.js';
import {
  describeTable,
  distinctKeys,
  keyArrays,
  parseRow,
  refuseTooWide,
  rowsJson,
  type ViewTable,
} from './view-table-postgres.js';

/** Connection settings of the offline store. */
export interface PostgresOfflineStoreOptions {
  readonly url: string;
  readonly project: string;
  readonly poolSize?: number;
  /** How long a read may take, in milliseconds; 2,000 by default. */
  readonly readTimeout?: number;
  /** How long a writing statement may take, in milliseconds; 30,000 by default. */
  readonly writeTimeout?: number;
  readonly log?: (
    level: 'debug' | 'info' | 'warn' | 'error',
    message: string,
    fields?: Record<string, unknown>,
  ) => void;
}

const PROJECT = /^[a-z][a-z0-9_]{0,40}$/;
/** PostgreSQL has a limited number of locks, and each new table takes about six until its transaction ends. */
const VIEWS_PER_TRANSACTION = 100;
/** A prepared read is 0.1 ms faster, but costs each connection 50 kB for as long as it is open. */
const PREPARED_READS = 100;
const DUE_BATCH = 1_000;
/**
 * A read looks keys up in an index that always exists, so one plan fits all keys. PostgreSQL would otherwise plan every
 * read anew, which takes as long as the read. The cached plan must not be a sequential scan that was chosen while the
 * table was small.
 */
const READ_SETTINGS = ['plan_cache_mode=force_generic_plan', 'enable_seqscan=off', 'enable_bitmapscan=off'];

/** Connects and migrates the project's schema. Throws STORE_UNAVAILABLE. */
export async function connectPostgresOfflineStore(options: PostgresOfflineStoreOptions): Promise<OfflineStore> {
  const { url, project, poolSize = 10, readTimeout = 2_000, writeTimeout = 30_000, log = () => {} } = options;
  if (!PROJECT.test(project)) {
    throw new FStoreError('CONFIG_INVALID', `${project} cannot name a schema`, { field: 'FSTORE_PROJECT' });
  }
  const onError = (error: Error): void => log('warn', 'a connection to PostgreSQL was lost', { error: error.message });
  const pool = createPool({ url, size: poolSize, statementTimeout: writeTimeout, onError });
  const reads = createPool({ url, size: poolSize, statementTimeout: readTimeout, settings: READ_SETTINGS, onError });
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
  readonly #preparedReads = new Set<string>();

  constructor(pool: pg.Pool, reads: pg.Pool, schema: string) {
    this.#pool = pool;
    this.#reads = reads;
    this.#schema = schema;
  }

  migrate(): Promise<void> {
    return migrate(this.#pool, this.#schema);
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
    for (const view of fresh) refuseTooWide(view);
    for (let at = 0; at < fresh.length; at += VIEWS_PER_TRANSACTION) {
      const some = fresh.slice(at, at + VIEWS_PER_TRANSACTION);
      await inTransaction(this.#pool, async (client) => {
        // Concurrent sessions can fail in CREATE … IF NOT EXISTS for the same name, so they run one after the other.
        await client.query(`SELECT pg_advisory_xact_lock(hashtext('fstore prepare'))`);
        await client.query(some.map((view) => this.#tableOf(view).ddl).join('\n'));
      });
    }
    for (const view of missing) this.#prepared.add(view.table);
  }

  async commit(batch: CommitBatch): Promise<CommitResult> {
    return inTransaction(this.#pool, async (client) => {
      const { from, ahead } = await lockOffset(client, this.#schema, batch);
      const isNew = (one: { readonly offset: bigint }): boolean => one.offset >= from;
      const events = batch.events.filter(isNew);
      await checkSameTopic(
        client,
        this.#schema,
        batch,
        batch.events.filter((event) => !isNew(event)),
      );
      await writeEvents(client, this.#schema, batch, events);
      const deadLetters = batch.deadLetters.filter(isNew);
      await writeDeadLetters(client, this.#schema, batch, deadLetters);
      const touched: TouchedEntity[] = [];
      for (const { view, rows } of batch.rows) {
        const first = ahead.get(view.table) ?? from;
        const fresh = rows.filter(({ offset }) => offset >= first);
        await this.#insert(client, view, fresh, batch.now);
        touched.push(...(await this.#newest(client, view, distinctKeys(rows), batch.now)));
      }
      if (batch.nextOffset > from) await advanceOffset(client, this.#schema, batch, events, deadLetters.length);
      return { written: events.length, touched };
    });
  }

  async fill({ source, stream, revision }: FillRequest, fills: readonly ViewFill[], now: number): Promise<number> {
    return inTransaction(this.#pool, async (client) => {
      // Commits of the source share this lock, so the log does not change while the views are filled.
      await lockSource(client, this.#schema, source, 'exclusive');
      const views = fills.map(({ view }) => view);
      const standings = await readStandings(client, this.#schema, views);
      const fresh = fills.filter(({ view }) => !standings.get(view.table)!.filled);
      let count = 0;
      if (fresh.length > 0) await refuseUnmerged(client, this.#schema, source);
      if (fresh.some(({ read }) => read !== null)) {
        for await (const events of loggedEvents(client, this.#schema, source)) {
          count += events.length;
          for (const fill of fresh) await this.#insertLogged(client, fill, events, now);
        }
      }
      if (fresh.length > 0) {
        await addFilled(
          client,
          this.#schema,
          source,
          revision,
          fresh.map(({ view }) => view),
        );
      }
      if (!stream) return count;
      const place = { source, stream, revision };
      for (const fill of fills) {
        const { view } = fill;
        const { engine, revision: since } = standings.get(view.table)!;
        // Skip it if another process with these or newer definitions has already handed the view over.
        if (view.engine === (engine ?? 'builtin') || since >= revision) continue;
        if (view.engine !== 'builtin') {
          await handOver(client, this.#schema, place, view, fill.read !== null);
          continue;
        }
        for (const stretch of await takeBack(client, this.#schema, place, view)) {
          for await (const events of loggedEvents(client, this.#schema, source, stretch)) {
            count += events.length;
            const rows = await this.#insertLogged(client, fill, events, now);
            // Values that are due now are published at the next sweep.
            const due = distinctKeys(rows).map((key) => ({ key, eventTime: now }));
            await writeDueRows(client, this.#schema, view, due);
          }
        }
      }
      return count;
    });
  }

  async valuesAt(
    view: ViewVersion,
    keys: readonly EntityKey[],
    asOf: number | readonly number[],
    options: PointInTimeOptions = {},
  ): Promise<(StoredRow | null)[]> {
    const on = options.patient ? this.#pool : this.#reads;
    return reachable(() => this.#valuesAt(on, view, keys, asOf, options, this.#statementName(view, options)));
  }

  async tilesAt(view: ViewVersion, keys: readonly EntityKey[], now: number): Promise<(TileSet | null)[]> {
    return reachable(() => this.#tilesAt(this.#reads, view, keys, now, this.#statementName(view, {})));
  }

  async takeDue(
    views: readonly ViewVersion[],
    now: number,
    publish: (touched: readonly TouchedEntity[]) => Promise<void>,
  ): Promise<number> {
    if (!(await reachable(() => hasDueRows(this.#pool, this.#schema, views, now)))) return 0;
    for (let sum = 0; ; ) {
      const taken = await inTransaction(this.#pool, async (client) => {
        const due = await takeDueRows(client, this.#schema, views, now, DUE_BATCH);
        const touched: TouchedEntity[] = [];
        for (const { view, rows } of due.entities) {
          await this.#mergeDue(client, view, rows);
          touched.push(...(await this.#newest(client, view, distinctKeys(rows), now)));
        }
        // If publishing fails, the transaction rolls back and the records of due rows remain.
        if (touched.length > 0) await publish(touched);
        return due.taken;
      });
      sum += taken;
      if (taken < DUE_BATCH) return sum;
    }
  }

  readEvents(source: string, meaning: SourceMeaning, take: (table: RowTable) => Promise<void>): Promise<void> {
    return inTransaction(this.#pool, (client) => readSourceEvents(client, this.#schema, source, meaning, take));
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

  /** Returns the name of a prepared statement, for at most PREPARED_READS views. */
  #statementName(view: ViewVersion, { before = false, known = false }: PointInTimeOptions): string | undefined {
    if (before || known) return undefined;
    if (this.#preparedReads.size < PREPARED_READS) this.#preparedReads.add(view.table);
    return this.#preparedReads.has(view.table) ? view.table : undefined;
  }

  async #insert(client: pg.PoolClient, view: ViewVersion, rows: readonly NewRow[], now: number): Promise<void> {
    if (rows.length === 0) return;
    const { insert, tiles } = this.#tableOf(view);
    if (tiles) {
      await client.query(insert, [rowsJson(view, rows), new Date(now).toISOString(), view.table]);
      return;
    }
    await client.query(insert, [rowsJson(view, rows)]);
    const later = rows.filter((row) => row.eventTime > now);
    await writeDueRows(client, this.#schema, view, later);
  }

  async #insertLogged(
    client: pg.PoolClient,
    { view, read }: ViewFill,
    events: readonly { readonly offset: string; readonly payload: string }[],
    now: number,
  ): Promise<NewRow[]> {
    const rows = events.flatMap(({ offset, payload }): NewRow[] => {
      const row = read?.(payload);
      return row ? [{ offset: BigInt(offset), ...row }] : [];
    });
    await this.#insert(client, view, rows, now);
    return rows;
  }

  async #mergeDue(client: pg.PoolClient, view: ViewVersion, rows: readonly DueRow[]): Promise<void> {
    const { tiles } = this.#tableOf(view);
    if (!tiles) return;
    const keys = keyArrays(
      view,
      rows.map(({ key }) => key),
    );
    const places = [rows.map(({ eventTime }) => eventTime), rows.map(({ sequence }) => sequence)];
    await client.query(tiles.mergeDue, [...keys, ...places]);
  }

  async #newest(
    client: pg.PoolClient,
    view: ViewVersion,
    keys: readonly EntityKey[],
    now: number,
  ): Promise<TouchedEntity[]> {
    if (keys.length === 0) return [];
    if (view.aggregation) {
      const sets = await this.#tilesAt(client, view, keys, now);
      return keys.map((key, index) => ({ view, key, row: null, tiles: sets[index] ?? null }));
    }
    const rows = await this.#valuesAt(client, view, keys, now);
    return keys.map((key, index) => ({ view, key, row: rows[index] ?? null, tiles: null }));
  }

  async #tilesAt(
    on: pg.Pool | pg.PoolClient,
    view: ViewVersion,
    keys: readonly EntityKey[],
    now: number,
    name?: string,
  ): Promise<(TileSet | null)[]> {
    const { tiles } = this.#tableOf(view);
    if (!tiles) throw new FStoreError('INTERNAL', `view ${view.id} has no tiles`);
    if (keys.length === 0) return [];
    const { rows } = await on.query<(string | null)[]>({
      text: tiles.tilesAt,
      values: [...keyArrays(view, keys), ...tiles.liveFrom(now)],
      rowMode: 'array',
      types: RAW_TEXT,
      ...(name === undefined ? {} : { name: `${name}_t` }),
    });
    return tiles.readTiles(rows, keys.length);
  }

  async #valuesAt(
    on: pg.Pool | pg.PoolClient,
    view: ViewVersion,
    keys: readonly EntityKey[],
    asOf: number | readonly number[],
    options: PointInTimeOptions = {},
    name?: string,
  ): Promise<(StoredRow | null)[]> {
    if (keys.length === 0) return [];
    const table = this.#tableOf(view);
    const { rows } = await on.query<(string | null)[]>({
      text: table.valuesAt(options),
      values: [...keyArrays(view, keys), instantTexts(asOf, keys.length)],
      rowMode: 'array',
      types: RAW_TEXT,
      ...(name === undefined ? {} : { name }),
    });
    const read = table.tiles?.readValues ?? ((record: (string | null)[]) => parseRow(view, record));
    return rows.map(read);
  }
}

/**
 * Returns instants in PostgreSQL's format, one for each key. Consecutive instants are mostly equal, so the last text is
 * reused.
 */
function instantTexts(asOf: number | readonly number[], count: number): string[] {
  if (typeof asOf === 'number') return new Array<string>(count).fill(new Date(asOf).toISOString());
  let last = Number.NaN;
  let text = '';
  return asOf.map((time) => {
    if (time !== last) {
      last = time;
      text = new Date(time).toISOString();
    }
    return text;
  });
}
