/** A database of its own, and two offline stores on it. */
import pg from 'pg';
import { connectPostgresOfflineStore } from '../../../src/store/offline-store-postgres.js';
import type { QueryReader } from '../../../src/store/query-reader.js';
import { createPostgresQueryReader } from '../../../src/store/query-reader-postgres.js';
import { createTestDatabase, type TestDatabase } from '../../harness/test-servers.js';
import type { OfflinePlatform } from './offline-platform.js';

export const PROJECT = 'contract';

/** Runs one query on a connection of its own. */
export async function query<T extends pg.QueryResultRow>(url: string, text: string, values?: unknown[]): Promise<T[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query<T>(text, values)).rows;
  } finally {
    await client.end();
  }
}

/** Opens the platform; `database` is where it lies, and `settings` are what it has instead of the server's defaults. */
export async function openPostgresPlatform(
  settings: readonly string[] = [],
): Promise<OfflinePlatform & { readonly database: TestDatabase; readonly queries: QueryReader }> {
  const database = await createTestDatabase();
  for (const setting of settings) await query(database.url, `ALTER DATABASE ${database.name} SET ${setting}`);
  const connect = () => connectPostgresOfflineStore({ url: database.url, project: PROJECT });
  const [store, other] = await Promise.all([connect(), connect()]);
  return {
    database,
    queries: createPostgresQueryReader({ url: database.readUrl, timeout: 30_000 }),
    store,
    other,
    async countRows(view) {
      const rows = await query<{ n: number }>(
        database.url,
        `SELECT count(*)::int AS n FROM fstore_${PROJECT}."${view.table}"`,
      );
      return rows[0]!.n;
    },
    async close() {
      await store.close();
      await other.close();
      await database.drop();
    },
  };
}
