/**
 * Staged results of other engines in PostgreSQL; migration 005 creates the tables and functions.
 *
 * One statement for each view merges a batch inside PostgreSQL, so rows never pass through this process. After the
 * merge only the keys of touched entities remain, until they are published.
 */
import type pg from 'pg';
import { entityKey } from '../definition/entity-key.js';
import type { ViewVersion } from '../definition/view-version.js';
import { FStoreError } from '../errors.js';
import { createPool, inTransaction, reachable } from './connection-postgres.js';
import { lockSource } from './event-log-postgres.js';
import { countedIn } from './intake-postgres.js';
import type { BegunRun, MergedBatch, RunRequest, StagedBatches } from './staged-batches.js';
import { logStaged, type SealedBatch, startTable } from './staged-log-postgres.js';
import { storedKeyName } from './stored-key.js';
import type { RunTotal, TableRun } from './table-run.js';
import { endRuns } from './view-fill-postgres.js';
import { describeTable } from './view-table-postgres.js';

/** Connection settings of the staging area. */
export interface PostgresStagedBatchesOptions {
  readonly url: string;
  readonly project: string;
  readonly log?: (level: 'warn', message: string, fields?: Record<string, unknown>) => void;
}

/** How long a merge may take, in milliseconds. A batch may hold hundreds of thousands of rows. */
const MERGE_TIMEOUT = 600_000;
const POOL_SIZE = 4;

/** Connects. The offline store has already created the project's schema. */
export function connectPostgresStagedBatches({ url, project, log }: PostgresStagedBatchesOptions): StagedBatches {
  const onError = (error: Error): void =>
    log?.('warn', 'a connection to PostgreSQL was lost', { error: error.message });
  const pool = createPool({ url, size: POOL_SIZE, statementTimeout: MERGE_TIMEOUT, onError });
  return new PostgresStagedBatches(pool, `"fstore_${project}"`);
}

class PostgresStagedBatches implements StagedBatches {
  readonly #pool: pg.Pool;
  readonly #schema: string;
  readonly #statements = new WeakMap<ViewVersion, string>();

  constructor(pool: pg.Pool, schema: string) {
    this.#pool = pool;
    this.#schema = schema;
  }

  begin({ stream, source, topic, revision, views }: RunRequest): Promise<BegunRun> {
    const schema = this.#schema;
    return inTransaction(this.#pool, async (client) => {
      // The shared lock prevents views from changing their engine meanwhile.
      await lockSource(client, schema, source, 'shared');
      const tables = views.map((view) => view.table);
      await this.#checkHands(client, tables, source, revision);
      const epoch = await this.#nextEpoch(client, stream, topic);
      const places = await client.query<{ view_table: string; places: Record<string, string> }>(
        `SELECT view_table, json_object_agg(partition, next_offset::text) AS places
         FROM ${schema}.view_positions WHERE topic = $1 AND view_table = ANY($2) GROUP BY view_table`,
        [topic, tables],
      );
      return { epoch, positions: new Map(places.rows.map((row) => [row.view_table, row.places])) };
    });
  }

  /** Begins a run and deletes unsealed batches of earlier runs. */
  async #nextEpoch(client: pg.PoolClient, stream: string, topic: string): Promise<number> {
    const schema = this.#schema;
    const { rows } = await client.query<{ epoch: string }>(
      `INSERT INTO ${schema}.engine_runs AS r (stream, epoch, topic) VALUES ($1, 1, $2)
       ON CONFLICT (stream) DO UPDATE SET epoch = r.epoch + 1, topic = excluded.topic, question = NULL RETURNING epoch`,
      [stream, topic],
    );
    await client.query(this.#sweep(), [stream]);
    return Number(rows[0]!.epoch);
  }

  async sweep(stream: string): Promise<void> {
    await reachable(() => this.#pool.query(this.#sweep(), [stream]));
  }

  #sweep(): string {
    const schema = this.#schema;
    return `DELETE FROM ${schema}.staged_batches AS s WHERE stream = $1
      AND epoch < (SELECT epoch FROM ${schema}.engine_runs WHERE stream = $1) AND NOT EXISTS (
        SELECT 1 FROM ${schema}.sealed_batches AS b WHERE b.stream = s.stream AND b.epoch = s.epoch AND b.batch = s.batch)`;
  }

  beginRun(run: TableRun): Promise<{ readonly epoch: number }> {
    return inTransaction(this.#pool, async (client) => {
      await startTable(client, this.#schema, run);
      return { epoch: await this.#nextEpoch(client, run.stream, run.topic) };
    });
  }

  async sealedTotal(stream: string, run: number): Promise<RunTotal | null> {
    const { rows } = await reachable(() =>
      this.#pool.query<{ total: RunTotal }>(
        `SELECT sealed_total AS total FROM ${this.#schema}.engine_runs WHERE stream = $1 AND sealed_run = $2`,
        [stream, run],
      ),
    );
    return rows[0]?.total ?? null;
  }

  async #checkHands(client: pg.PoolClient, tables: readonly string[], source: string, revision: number): Promise<void> {
    const { rows } = await client.query<{ held: number }>(
      `SELECT count(*)::int AS held FROM ${this.#schema}.engines WHERE view_table = ANY($1) AND engine <> 'builtin'`,
      [tables],
    );
    if (rows[0]!.held === tables.length) return;
    throw new FStoreError('DEFINITIONS_STALE', `views of ${source} have changed hands since revision ${revision}`);
  }

  async fence(stream: string): Promise<void> {
    await reachable(() => endRuns(this.#pool, this.#schema, stream));
  }

  async isAsking(stream: string, epoch: number): Promise<boolean> {
    const { rowCount } = await reachable(() =>
      this.#pool.query(
        `SELECT 1 FROM ${this.#schema}.engine_runs WHERE stream = $1 AND epoch = $2 AND question = 'asked'`,
        [stream, epoch],
      ),
    );
    return (rowCount ?? 0) > 0;
  }

  async confirm(stream: string, epoch: number): Promise<void> {
    await reachable(() =>
      this.#pool.query(
        `UPDATE ${this.#schema}.engine_runs SET question = 'answered' WHERE stream = $1 AND epoch = $2 AND question = 'asked'`,
        [stream, epoch],
      ),
    );
  }

  merge(
    stream: string,
    views: readonly ViewVersion[],
    bury: Parameters<StagedBatches['merge']>[2],
  ): Promise<MergedBatch | null> {
    const schema = this.#schema;
    return inTransaction(this.#pool, async (client) => {
      // A process that waits here sees what was merged before. Waiting for a lock on the batch's row would find that
      // row merged, and would not select the next batch.
      await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 1))', [`${schema} ${stream}`]);
      const { rows } = await client.query<SealedBatch>(
        `SELECT id, stream, epoch, batch, size, events, unusable, newest, place
         FROM ${schema}.sealed_batches WHERE stream = $1 AND merged_at IS NULL ORDER BY id LIMIT 1`,
        [stream],
      );
      const sealed = rows[0];
      if (!sealed) return null;
      const of = [stream, sealed.epoch, sealed.batch];
      const staged = await client.query<{ view_table: string }>(
        `SELECT DISTINCT view_table FROM ${schema}.staged_batches WHERE stream = $1 AND epoch = $2 AND batch = $3 ORDER BY 1`,
        of,
      );
      for (const { view_table } of staged.rows) {
        const view = views.find((one) => one.table === view_table);
        if (view) await client.query(this.#mergeOf(view), [...of, view_table, sealed.size]);
      }
      if (sealed.place) await logStaged(client, schema, sealed, sealed.place, bury);
      await client.query(
        `DELETE FROM ${schema}.staged_batches WHERE stream = $1 AND epoch = $2 AND batch = $3 AND kind <> 'heads'`,
        of,
      );
      await client.query(`UPDATE ${schema}.sealed_batches SET merged_at = now() WHERE id = $1`, [sealed.id]);
      if (!sealed.place) await this.#count(client, sealed);
      return {
        size: sealed.size,
        events: Number(sealed.events),
        newest: sealed.newest === null ? null : Number(sealed.newest),
      };
    });
  }

  /**
   * Counts a merged batch. This row is locked last, so that no other transaction waits for the merge because of it.
   */
  async #count(client: pg.PoolClient, { stream, events, unusable, newest }: SealedBatch): Promise<void> {
    const place = `${this.#schema}.engine_intake`;
    await client.query(`INSERT INTO ${place} (stream) VALUES ($1) ON CONFLICT DO NOTHING`, [stream]);
    await client.query(
      `UPDATE ${place} AS i SET ${countedIn('i', '$2::bigint', '$3::bigint', '$4::timestamptz')} WHERE stream = $1`,
      [stream, events, unusable, newest === null ? null : new Date(Number(newest)).toISOString()],
    );
  }

  async publish(
    stream: string,
    views: readonly ViewVersion[],
    take: Parameters<StagedBatches['publish']>[2],
  ): Promise<number> {
    const schema = this.#schema;
    let count = 0;
    for (;;) {
      const { rows } = await reachable(() =>
        this.#pool.query<{ id: string; view_table: string; content: Record<string, unknown>[] }>(
          `SELECT s.id, s.view_table, s.content::json AS content
           FROM ${schema}.staged_batches AS s JOIN ${schema}.sealed_batches AS b USING (stream, epoch, batch)
           WHERE stream = $1 AND b.merged_at IS NOT NULL AND s.kind = 'heads' ORDER BY s.id LIMIT 8`,
          [stream],
        ),
      );
      if (rows.length === 0) break;
      for (const { id, view_table, content } of rows) {
        const view = views.find((one) => one.table === view_table);
        if (view) {
          const names = view.keys.map(({ name }) => storedKeyName(view, name));
          await take(
            view,
            content.map((head) => entityKey(names.map((name) => String(head[name])))),
          );
        }
        count += content.length;
        await reachable(() => this.#pool.query(`DELETE FROM ${schema}.staged_batches WHERE id = $1`, [id]));
      }
    }
    await reachable(() =>
      this.#pool.query(
        `DELETE FROM ${schema}.sealed_batches AS b WHERE stream = $1 AND merged_at IS NOT NULL AND NOT EXISTS (
           SELECT 1 FROM ${schema}.staged_batches AS s WHERE s.stream = b.stream AND s.epoch = b.epoch AND s.batch = b.batch)`,
        [stream],
      ),
    );
    return count;
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  #mergeOf(view: ViewVersion): string {
    let statement = this.#statements.get(view);
    if (statement === undefined) {
      statement = describeTable(this.#schema, view).mergeStaged;
      this.#statements.set(view, statement);
    }
    return statement;
  }
}
