/** A database of its own, and two offline stores on it. */
import pg from 'pg';
import { connectPostgresOfflineStore } from '../../../src/store/offline-store-postgres.js';
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

/** Opens the platform; `database` is where it lies. */
export async function openPostgresPlatform(): Promise<OfflinePlatform & { readonly database: TestDatabase }> {
  const database = await createTestDatabase();
  const connect = () => connectPostgresOfflineStore({ url: database.url, project: PROJECT });
  const [store, other] = await Promise.all([connect(), connect()]);
  return {
    database,
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
