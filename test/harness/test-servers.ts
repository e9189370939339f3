/**
 * Gives tests access to the real servers. Each test has its own namespace, so that tests do not see or disturb each
 * other and can share servers. A test without its server fails; it is never skipped.
 */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { redisClient } from './redis-server.js';
import { endpointVariables, type ServerName } from './test-server.js';

function endpoint(name: ServerName): string {
  const value = process.env[endpointVariables[name]];
  if (value) return value;
  throw new Error(
    `${endpointVariables[name]} is not set, so there is no ${name} to test with: run ./scripts/test <part> ` +
      '(unit, contract, golden, system, browser), or "npm run servers -- --exports <file>" and source that file',
  );
}

/** The endpoints of the servers. Reading a missing one throws an error that says how to provide it. */
export interface TestServers {
  readonly redisUrl: string;
  readonly redisClusterNodes: { host: string; port: number }[];
  /** URL of the maintenance database as a superuser; tests use {@link createTestDatabase}. */
  readonly postgresUrl: string;
  readonly mongoUrl: string;
  readonly kafkaBrokers: string[];
}

const servers: TestServers = {
  get redisUrl() {
    return endpoint('redis');
  },
  get redisClusterNodes() {
    return endpoint('redis-cluster')
      .split(',')
      .map((node) => ({ host: node.split(':')[0] as string, port: Number(node.split(':')[1]) }));
  },
  get postgresUrl() {
    return endpoint('postgres');
  },
  get mongoUrl() {
    return endpoint('mongo');
  },
  get kafkaBrokers() {
    return endpoint('kafka').split(',');
  },
};

/** Returns the endpoints of the servers that `scripts/test` started. */
export function testServers(): TestServers {
  return servers;
}

/** Returns ten hexadecimal digits that no other test has. */
function unique(): string {
  return randomBytes(5).toString('hex');
}

/** Returns a prefix for all keys of one test, ending in a colon. */
export function redisNamespace(): string {
  return `t${unique()}:`;
}

/** Returns the URL of a MongoDB database that does not exist yet, and a function that drops it. */
export function createTestMongo(): { url: string; database: string; drop(): Promise<void> } {
  const database = `fstore_t_${unique()}`;
  const url = new URL(servers.mongoUrl);
  url.pathname = `/${database}`;
  const drop = async () => {
    // Loaded only here, because most tests need no MongoDB and its driver loads slowly.
    const { MongoClient } = await import('mongodb');
    const client = new MongoClient(url.href);
    await client.db(database).dropDatabase();
    await client.close();
  };
  return { url: url.href, database, drop };
}

async function withPostgres<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

/** An empty PostgreSQL database. `drop` also disconnects its clients. */
export interface TestDatabase {
  readonly url: string;
  /** With the login of a role that may read tables of the schema `public`. */
  readonly readUrl: string;
  readonly name: string;
  drop(): Promise<void>;
}

/**
 * Creates a database for one test.
 *
 * @throws if PostgreSQL cannot be reached
 */
export async function createTestDatabase(): Promise<TestDatabase> {
  const name = `fstore_t_${unique()}`;
  // template0 has no connections, so any number of tests may copy it at once. template1 could be "being accessed".
  await withPostgres(servers.postgresUrl, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE template0`));
  const url = new URL(servers.postgresUrl);
  url.pathname = `/${name}`;
  const readUrl = new URL(url);
  readUrl.username = `${name}_read`;
  readUrl.password = unique();
  await withPostgres(url.href, (client) =>
    client.query(`
      CREATE ROLE ${readUrl.username} LOGIN PASSWORD '${readUrl.password}';
      ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO ${readUrl.username};`),
  );
  const drop = async () => {
    await withPostgres(servers.postgresUrl, (client) => client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
    await withPostgres(servers.postgresUrl, (client) => client.query(`DROP ROLE IF EXISTS ${readUrl.username}`));
  };
  return { url: url.href, readUrl: readUrl.href, name, drop };
}

/**
 * Returns how often each Redis command was called by all clients since the server started. Compare two results, and run
 * nothing else on that server in between.
 *
 * @param url one server, or one node of a cluster
 * @returns calls by command in lower case; subcommands as "cluster|info"
 */
export async function redisCommandStats(url: string): Promise<Record<string, number>> {
  const client = redisClient(url);
  try {
    await client.connect();
    const lines = (await client.info('commandstats')).matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm);
    return Object.fromEntries([...lines].map(([, command, calls]) => [command as string, Number(calls)]));
  } finally {
    client.disconnect();
  }
}

/** Returns the calls between two results of {@link redisCommandStats}, without those of the counting itself. */
export function commandsBetween(before: Record<string, number>, after: Record<string, number>): Record<string, number> {
  const own = new Set(['info', 'hello', 'client|setinfo', 'client|setname']);
  const grown = Object.entries(after).map(([command, calls]) => [command, calls - (before[command] ?? 0)] as const);
  return Object.fromEntries(grown.filter(([command, calls]) => calls > 0 && !own.has(command)));
}

/** Counts the statements that clients run in one database. */
export interface StatementCount {
  /** Sets all counts to zero. */
  reset(): Promise<void>;
  /** Returns the calls by query text, with constants replaced by $1, $2…, without this counter's own queries. */
  calls(): Promise<Record<string, number>>;
  /** Returns the sum of all calls. */
  total(): Promise<number>;
}

/**
 * Counts statements with pg_stat_statements, starting at zero.
 *
 * @param databaseUrl the database whose statements are counted; use a new one of {@link createTestDatabase}
 * @throws if the server has not loaded pg_stat_statements
 */
export async function postgresStatementCount(databaseUrl: string): Promise<StatementCount> {
  const thisDatabase = '(SELECT oid FROM pg_database WHERE datname = current_database())';
  const read = `SELECT query, sum(calls)::int AS calls FROM pg_stat_statements
    WHERE dbid = ${thisDatabase} AND query NOT ILIKE '%pg_stat_statements%' GROUP BY query`;
  const reset = () =>
    withPostgres(databaseUrl, async (client) => {
      await client.query(`SELECT pg_stat_statements_reset(0, ${thisDatabase}, 0)`);
    });
  const calls = () =>
    withPostgres(databaseUrl, async (client) => {
      const { rows } = await client.query<{ query: string; calls: number }>(read);
      return Object.fromEntries(rows.map((row) => [row.query, row.calls]));
    });
  await withPostgres(databaseUrl, (client) => client.query('CREATE EXTENSION IF NOT EXISTS pg_stat_statements'));
  await reset();
  return {
    reset,
    calls,
    total: async () => Object.values(await calls()).reduce((sum, count) => sum + count, 0),
  };
}
