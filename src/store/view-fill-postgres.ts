/**
 * Records which views were filled from the event log in PostgreSQL, and which engine computes each of them.
 *
 * Invariants
 * 1. A view is filled once, and its engine changes at one moment for all events of its source. The caller holds the
 *    source's lock, so no commit runs meanwhile. Commits that were processed with older definitions are refused
 *    afterwards.
 * 2. A view that is handed to another engine begins there at the offsets that the built-in processor has committed. A
 *    view that returns gets the events that the engine has not computed from the log, and no others.
 */
import type pg from 'pg';
import type { ViewVersion } from '../definition/view-version.js';
import { FStoreError } from '../errors.js';
import type { LogStretch } from './event-log-postgres.js';
import type { SourceStream } from './offline-store.js';

/**
 * The record about a view. `engine` is null if nothing is recorded: the built-in processor computes the view.
 */
export interface ViewStanding {
  readonly filled: boolean;
  readonly engine: string | null;
  /** Revision at which its engine last changed. */
  readonly revision: number;
}

/** Returns the record about each of `views`, by history table. */
export async function readStandings(
  client: pg.PoolClient,
  schema: string,
  views: readonly ViewVersion[],
): Promise<Map<string, ViewStanding>> {
  const { rows } = await client.query<{ view_table: string; filled: boolean; engine: string | null; revision: number }>(
    `SELECT v.view_table, f.view_table IS NOT NULL AS filled, e.engine, coalesce(e.revision, 0) AS revision
     FROM unnest($1::text[]) AS v(view_table)
     LEFT JOIN ${schema}.fills AS f USING (view_table) LEFT JOIN ${schema}.engines AS e USING (view_table)`,
    [views.map((view) => view.table)],
  );
  return new Map(rows.map(({ view_table, ...standing }) => [view_table, standing]));
}

/** Records that views of a source, which began at `revision`, are filled. */
export async function addFilled(
  client: pg.PoolClient,
  schema: string,
  source: string,
  revision: number,
  views: readonly ViewVersion[],
): Promise<void> {
  await client.query(`INSERT INTO ${schema}.fills (view_table, source, revision) SELECT unnest($1::text[]), $2, $3`, [
    views.map((view) => view.table),
    source,
    revision,
  ]);
}

/** Records which engine computes a view from now on. */
async function noteEngine(
  client: pg.PoolClient,
  schema: string,
  source: string,
  revision: number,
  view: ViewVersion,
): Promise<void> {
  await client.query(
    `INSERT INTO ${schema}.engines (view_table, source, engine, revision) VALUES ($1, $2, $3, $4)
     ON CONFLICT (view_table) DO UPDATE SET engine = excluded.engine, revision = excluded.revision`,
    [view.table, source, view.engine, revision],
  );
}

/**
 * Hands a view to another engine. With `has`, the view contains earlier events, and the engine continues at the offset
 * of the built-in processor. If the engine had computed the view before and got further, it continues there.
 */
export async function handOver(
  client: pg.PoolClient,
  schema: string,
  { source, stream, revision }: { source: string; stream: SourceStream; revision: number },
  view: ViewVersion,
  has: boolean,
): Promise<void> {
  const places = `INSERT INTO ${schema}.view_positions AS p (view_table, topic, partition, next_offset)
     SELECT $1, topic, partition, next_offset FROM ${schema}.consumed_offsets WHERE consumer = $2 AND topic = $3
     ON CONFLICT (view_table, topic, partition) DO UPDATE SET next_offset = greatest(p.next_offset, excluded.next_offset)`;
  if (has) await client.query(places, [view.table, stream.consumer, stream.topic]);
  await noteEngine(client, schema, source, revision, view);
}

/**
 * Prevents all runs of a stream from sealing. Waits for a run that is just sealing, because it locks the stream's row
 * until it commits.
 */
export async function endRuns(on: pg.Pool | pg.PoolClient, schema: string, stream: string): Promise<void> {
  await on.query(`UPDATE ${schema}.engine_runs SET epoch = epoch + 1, question = NULL WHERE stream = $1`, [stream]);
}

/**
 * Takes a view back from another engine. Returns the ranges of the log that the engine has not computed. Throws
 * ENGINE_BUSY while results of the stream are not merged yet.
 */
export async function takeBack(
  client: pg.PoolClient,
  schema: string,
  { source, stream, revision }: { source: string; stream: SourceStream; revision: number },
  view: ViewVersion,
): Promise<LogStretch[]> {
  await endRuns(client, schema, stream.name);
  const { rowCount } = await client.query(
    `SELECT 1 FROM ${schema}.sealed_batches WHERE stream = $1 AND merged_at IS NULL LIMIT 1`,
    [stream.name],
  );
  if (rowCount) throw new FStoreError('ENGINE_BUSY', `what was computed of ${view.id} is not merged yet`);
  const { rows } = await client.query<{ partition: number; since: string; until: string }>(
    `SELECT c.partition, coalesce(p.next_offset, 0) AS since, c.next_offset AS until
     FROM ${schema}.consumed_offsets AS c
     LEFT JOIN ${schema}.view_positions AS p ON p.view_table = $1 AND p.topic = c.topic AND p.partition = c.partition
     WHERE c.consumer = $2 AND c.topic = $3 AND coalesce(p.next_offset, 0) < c.next_offset ORDER BY c.partition`,
    [view.table, stream.consumer, stream.topic],
  );
  await noteEngine(client, schema, source, revision, view);
  return rows.map(({ partition, since, until }) => ({
    topic: stream.topic,
    partition,
    from: BigInt(since),
    to: BigInt(until),
  }));
}
