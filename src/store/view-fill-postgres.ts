/** Which views have taken over what the event log in PostgreSQL had when they began. */
import type pg from 'pg';
import type { ViewVersion } from '../definition/view-version.js';

/** The tables of those of `views` that were filled. */
export async function filledTables(
  client: pg.PoolClient,
  schema: string,
  views: readonly ViewVersion[],
): Promise<Set<string>> {
  const { rows } = await client.query<{ view_table: string }>(
    `SELECT view_table FROM ${schema}.fills WHERE view_table = ANY($1)`,
    [views.map((view) => view.table)],
  );
  return new Set(rows.map((row) => row.view_table));
}

/** Notes that views of a source, which began at `revision`, are filled. */
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
