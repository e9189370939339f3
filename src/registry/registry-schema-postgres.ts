/**
 * The tables of the registry in PostgreSQL, and how they are created.
 *
 * Definitions are `json`, not `jsonb`. So columns keep the order in which a team wrote them, as in MongoDB, and every
 * character that JSON can hold is kept.
 */
import type pg from 'pg';
import { FStoreError } from '../errors.js';

/** Increase it with every change of the statements below. The comment of the schema stores it. */
const VERSION = 1;

const STATEMENTS = `
  CREATE SCHEMA IF NOT EXISTS fstore_registry;
  CREATE TABLE IF NOT EXISTS fstore_registry.projects (
    project text COLLATE "C" PRIMARY KEY,
    revision bigint NOT NULL
  );
  CREATE TABLE IF NOT EXISTS fstore_registry.definitions (
    project text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    fingerprint text NOT NULL,
    definition json NOT NULL,
    meaning json NOT NULL,
    active boolean NOT NULL,
    PRIMARY KEY (project, kind, name, version)
  );
  CREATE TABLE IF NOT EXISTS fstore_registry.audit (
    project text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    actor text NOT NULL,
    summary json NOT NULL,
    applied_at timestamptz NOT NULL,
    PRIMARY KEY (project, revision)
  );
  COMMENT ON SCHEMA fstore_registry IS '${VERSION}';
`;

async function installedVersion(client: pg.ClientBase): Promise<number> {
  const sql = `SELECT coalesce(obj_description(to_regnamespace('fstore_registry'), 'pg_namespace'), '0') AS version`;
  const { rows } = await client.query<{ version: string }>(sql);
  return Number(rows[0]?.version ?? 0);
}

/**
 * Creates missing tables. Several processes may call it at once. If the tables exist, it needs no right to create.
 * Throws DATA_TOO_NEW.
 */
export async function prepareRegistrySchema(client: pg.ClientBase): Promise<void> {
  const installed = await installedVersion(client);
  if (installed > VERSION) {
    const message = `schema fstore_registry has version ${installed}, and this FStore knows versions up to ${VERSION}`;
    throw new FStoreError('DATA_TOO_NEW', message);
  }
  if (installed === VERSION) return;
  await client.query('BEGIN');
  try {
    // Concurrent CREATE … IF NOT EXISTS statements can fail, so a lock serializes them.
    await client.query(`SELECT pg_advisory_xact_lock(hashtextextended('fstore_registry schema', 0))`);
    if ((await installedVersion(client)) < VERSION) await client.query(STATEMENTS);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  }
}
