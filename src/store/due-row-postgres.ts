/** Rows of history in PostgreSQL whose event time was in the future when they were committed. */
import type pg from 'pg';
import { type EntityKey, entityKey } from '../definition/entity-key.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { NewRow } from './offline-store.js';

/** Records the entities of rows that wait for their event time. */
export async function writeDueRows(
  client: pg.PoolClient,
  schema: string,
  view: ViewVersion,
  rows: readonly Pick<NewRow, 'key' | 'eventTime'>[],
): Promise<void> {
  if (rows.length === 0) return;
  await client.query(
    `INSERT INTO ${schema}.due_rows (view_table, key_parts, event_time)
     SELECT $1, key_parts, event_time FROM json_to_recordset($2::json) AS t(key_parts text[], event_time timestamptz)`,
    [
      view.table,
      JSON.stringify(
        rows.map(({ key, eventTime }) => ({ key_parts: key.parts, event_time: new Date(eventTime).toISOString() })),
      ),
    ],
  );
}

/** Returns whether a row of these views is due at `now`. Cheap, because it is called often and rarely finds one. */
export async function hasDueRows(
  pool: pg.Pool,
  schema: string,
  views: readonly ViewVersion[],
  now: number,
): Promise<boolean> {
  const { rows } = await pool.query(
    `SELECT 1 FROM ${schema}.due_rows WHERE event_time <= $1 AND view_table = ANY($2::text[]) LIMIT 1`,
    [new Date(now).toISOString(), views.map((view) => view.table)],
  );
  return rows.length > 0;
}

/** A row that is due: its entity and, in an aggregation view, its sequence in history. */
export interface DueRow {
  readonly key: EntityKey;
  readonly eventTime: string;
  readonly sequence: string | null;
}

/**
 * Deletes up to `limit` records of due rows of these views and returns them, oldest first. Skips records that another
 * process has locked. Records of other views stay, because another process may know views that this one does not know
 * yet.
 */
export async function takeDueRows(
  client: pg.PoolClient,
  schema: string,
  views: readonly ViewVersion[],
  now: number,
  limit: number,
): Promise<{ taken: number; entities: { view: ViewVersion; rows: DueRow[] }[] }> {
  const { rows } = await client.query<{
    view_table: string;
    key_parts: string[];
    event_time: Date;
    sequence: string | null;
  }>(
    `DELETE FROM ${schema}.due_rows WHERE id = ANY(ARRAY(
       SELECT id FROM ${schema}.due_rows WHERE event_time <= $1 AND view_table = ANY($2::text[])
       ORDER BY event_time LIMIT $3 FOR UPDATE SKIP LOCKED
     )) RETURNING view_table, key_parts, event_time, sequence`,
    [new Date(now).toISOString(), views.map((view) => view.table), limit],
  );
  const entities = new Map(views.map((view) => [view.table, { view, rows: [] as DueRow[] }]));
  for (const { view_table, key_parts, event_time, sequence } of rows) {
    const row = { key: entityKey(key_parts), eventTime: event_time.toISOString(), sequence };
    entities.get(view_table)?.rows.push(row);
  }
  return { taken: rows.length, entities: [...entities.values()].filter((one) => one.rows.length > 0) };
}
