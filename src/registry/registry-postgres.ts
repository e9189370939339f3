/**
 * The registry in PostgreSQL: schema `fstore_registry`, for any number of projects.
 *
 * An apply locks the row of its project, so the applies of a project run one after the other. It writes each kind of
 * change in one statement. `load` reads from one snapshot.
 */
import pg from 'pg';
import type { DefinitionRecord } from '../definition/definition-record.js';
import { FStoreError, withCode } from '../errors.js';
import type { AuditRecord, Registry, RegistryChange, RegistryState, VersionReference } from './registry.js';
import { prepareRegistrySchema } from './registry-schema-postgres.js';
import { PostgresRegistryWatch, REGISTRY_CHANNEL } from './registry-watch-postgres.js';

/** How to connect to PostgreSQL, and which project to read. */
export interface PostgresRegistryOptions {
  readonly url: string;
  readonly project: string;
}

const CONNECT_TIMEOUT = 3_000;
/** Far longer than any statement here takes. It keeps a server that hangs from blocking the caller. */
const STATEMENT_TIMEOUT = 15_000;
const UNIQUE_VIOLATION = '23505';

/** Connects and creates missing tables. Throws REGISTRY_UNAVAILABLE. */
export async function connectPostgresRegistry({ url, project }: PostgresRegistryOptions): Promise<Registry> {
  const pool = new pg.Pool({
    connectionString: url,
    max: 4,
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    query_timeout: STATEMENT_TIMEOUT,
    keepAlive: true,
    application_name: 'fstore registry',
  });
  // The pool replaces an idle connection that drops. Without a listener, the error event would end the process.
  pool.on('error', () => {});
  pool.on('connect', (client) => void client.on('error', () => {}));
  const registry = new PostgresRegistry(pool, url, project);
  try {
    await registry.prepare();
  } catch (error) {
    await registry.close();
    throw error;
  }
  return registry;
}

/** The change does not fit the stored records, so a retry would fail too: the caller made it from other records. */
function impossible(message: string, cause?: unknown): FStoreError {
  return new FStoreError('INTERNAL', message, {}, [], { cause });
}

function reachable<T>(work: () => Promise<T>): Promise<T> {
  return withCode('REGISTRY_UNAVAILABLE', 'PostgreSQL', work);
}

/** Returns true if the server or this code refused a statement. The connection is then still usable. */
const isRefusal = (error: unknown): boolean => error instanceof FStoreError || error instanceof pg.DatabaseError;

const referenceArrays = (list: readonly VersionReference[]): [string[], string[], number[]] => [
  list.map(({ kind }) => kind),
  list.map(({ name }) => name),
  list.map(({ version }) => version),
];

class PostgresRegistry implements Registry {
  readonly #pool: pg.Pool;
  readonly #url: string;
  readonly #project: string;
  readonly #watches = new Set<PostgresRegistryWatch>();

  constructor(pool: pg.Pool, url: string, project: string) {
    this.#pool = pool;
    this.#url = url;
    this.#project = project;
  }

  prepare(): Promise<void> {
    return this.#withClient(prepareRegistrySchema);
  }

  load(): Promise<RegistryState> {
    return this.#withTransaction('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY', async (client) => {
      const revision = await this.#revisionIn(client, '');
      const { rows } = await client.query<DefinitionRecord>(
        `SELECT kind, name, version, fingerprint, definition, meaning, active
         FROM fstore_registry.definitions WHERE project = $1
         ORDER BY kind COLLATE "C", name COLLATE "C", version`,
        [this.#project],
      );
      return { project: this.#project, revision, records: rows };
    });
  }

  revision(): Promise<number> {
    return this.#withClient((client) => this.#revisionIn(client, ''));
  }

  apply(change: RegistryChange): Promise<number> {
    return this.#withTransaction('BEGIN ISOLATION LEVEL READ COMMITTED', async (client) => {
      await client.query('INSERT INTO fstore_registry.projects VALUES ($1, 0) ON CONFLICT DO NOTHING', [this.#project]);
      const found = await this.#revisionIn(client, 'FOR UPDATE');
      if (found !== change.expectedRevision) {
        const message = `the plan was made on revision ${change.expectedRevision}, and the registry is at ${found}`;
        throw new FStoreError('REVISION_CONFLICT', message);
      }
      await this.#create(client, change.create);
      await this.#update(client, change.update);
      await this.#retire(client, change.retire);
      return this.#advance(client, found + 1, change);
    });
  }

  audit(limit: number): Promise<readonly AuditRecord[]> {
    return this.#withClient(async (client) => {
      const { rows } = await client.query<Omit<AuditRecord, 'revision'> & { revision: string }>(
        `SELECT revision, actor, summary, applied_at AS "appliedAt"
         FROM fstore_registry.audit WHERE project = $1 ORDER BY revision DESC LIMIT $2`,
        [this.#project, limit],
      );
      return rows.map((row) => ({ ...row, revision: Number(row.revision) }));
    });
  }

  async watch(listener: () => void): Promise<() => Promise<void>> {
    const watch = await reachable(() => PostgresRegistryWatch.open(this.#url, this.#project, listener));
    this.#watches.add(watch);
    return async () => {
      this.#watches.delete(watch);
      await watch.close();
    };
  }

  async ping(): Promise<void> {
    await this.#withClient((client) => client.query('SELECT 1'));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#watches].map((watch) => watch.close()));
    if (!this.#pool.ending) await this.#pool.end();
  }

  async #revisionIn(client: pg.ClientBase, lock: '' | 'FOR UPDATE'): Promise<number> {
    const sql = `SELECT revision FROM fstore_registry.projects WHERE project = $1 ${lock}`;
    const { rows } = await client.query<{ revision: string }>(sql, [this.#project]);
    return Number(rows[0]?.revision ?? 0);
  }

  async #create(client: pg.ClientBase, records: readonly DefinitionRecord[]): Promise<void> {
    if (records.length === 0) return;
    const sql = `INSERT INTO fstore_registry.definitions
      (project, kind, name, version, fingerprint, active, definition, meaning)
      SELECT $1, r.* FROM unnest($2::text[], $3::text[], $4::integer[], $5::text[], $6::boolean[], $7::json[], $8::json[]) r`;
    try {
      await client.query(sql, [
        this.#project,
        ...referenceArrays(records),
        records.map(({ fingerprint }) => fingerprint),
        records.map(({ active }) => active),
        records.map(({ definition }) => JSON.stringify(definition)),
        records.map(({ meaning }) => JSON.stringify(meaning)),
      ]);
    } catch (error) {
      if ((error as { code?: string }).code !== UNIQUE_VIOLATION) throw error;
      throw impossible('a version that is to be created is stored already', error);
    }
  }

  async #update(client: pg.ClientBase, list: RegistryChange['update']): Promise<void> {
    if (list.length === 0) return;
    const sql = `UPDATE fstore_registry.definitions d SET definition = r.definition
      FROM unnest($2::text[], $3::text[], $4::integer[], $5::json[]) AS r (kind, name, version, definition)
      WHERE d.project = $1 AND d.kind = r.kind AND d.name = r.name AND d.version = r.version`;
    const texts = list.map(({ definition }) => JSON.stringify(definition));
    const { rowCount } = await client.query(sql, [this.#project, ...referenceArrays(list), texts]);
    if (rowCount !== list.length) throw impossible('a version that is to be updated is not stored');
  }

  async #retire(client: pg.ClientBase, list: readonly VersionReference[]): Promise<void> {
    if (list.length === 0) return;
    const sql = `UPDATE fstore_registry.definitions d SET active = false
      FROM unnest($2::text[], $3::text[], $4::integer[]) AS r (kind, name, version)
      WHERE d.project = $1 AND d.kind = r.kind AND d.name = r.name AND d.version = r.version`;
    const { rowCount } = await client.query(sql, [this.#project, ...referenceArrays(list)]);
    if (rowCount !== list.length) throw impossible('a version that is to be retired is not stored');
  }

  async #advance(client: pg.ClientBase, revision: number, { actor, summary }: RegistryChange): Promise<number> {
    await client.query('UPDATE fstore_registry.projects SET revision = $2 WHERE project = $1', [
      this.#project,
      revision,
    ]);
    await client.query(
      `INSERT INTO fstore_registry.audit (project, revision, actor, summary, applied_at)
       VALUES ($1, $2, $3, $4, clock_timestamp())`,
      [this.#project, revision, actor, JSON.stringify(summary)],
    );
    await client.query('SELECT pg_notify($1, $2)', [REGISTRY_CHANNEL, this.#project]);
    return revision;
  }

  #withClient<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    return reachable(async () => {
      const client = await this.#pool.connect();
      let broken: Error | undefined;
      try {
        return await work(client);
      } catch (error) {
        if (!isRefusal(error)) broken = error as Error;
        throw error;
      } finally {
        client.release(broken);
      }
    });
  }

  #withTransaction<T>(begin: string, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
    return this.#withClient(async (client) => {
      await client.query(begin);
      let result: T;
      try {
        result = await work(client);
      } catch (error) {
        if (isRefusal(error)) await client.query('ROLLBACK');
        throw error;
      }
      await client.query('COMMIT');
      return result;
    });
  }
}
