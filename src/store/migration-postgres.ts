/** Migrates the schema of a project to the newest of `migrations/*.sql`, one process at a time. */
import { readdir, readFile } from 'node:fs/promises';
import type pg from 'pg';
import { FStoreError } from '../errors.js';
import { inTransaction } from './connection-postgres.js';

const MIGRATIONS = new URL('./migrations/', import.meta.url);

/**
 * Applies the migrations that `schema` (a quoted identifier) has not had, in order, all or none.
 *
 * @throws DATA_TOO_NEW if the schema has had a migration that this program does not know
 */
export async function migrate(pool: pg.Pool, schema: string): Promise<void> {
  const files = (await readdir(MIGRATIONS)).filter((file) => file.endsWith('.sql')).sort();
  await inTransaction(pool, async (client) => {
    await client.query(`SELECT pg_advisory_xact_lock(hashtext('fstore migrations'))`);
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`);
    await client.query(
      `CREATE TABLE IF NOT EXISTS ${schema}.migrations (file text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())`,
    );
    const { rows } = await client.query<{ file: string }>(`SELECT file FROM ${schema}.migrations`);
    const applied = new Set(rows.map((row) => row.file));
    const newer = [...applied].filter((file) => !files.includes(file)).sort();
    if (newer.length > 0) {
      throw new FStoreError(
        'DATA_TOO_NEW',
        `schema ${schema} has had migrations of a newer FStore: ${newer.join(', ')}`,
      );
    }
    await client.query(`SET LOCAL search_path TO ${schema}`);
    for (const file of files.filter((one) => !applied.has(one))) {
      await client.query(await readFile(new URL(file, MIGRATIONS), 'utf8'));
      await client.query('INSERT INTO migrations (file) VALUES ($1)', [file]);
    }
  });
}
