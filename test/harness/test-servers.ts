/**
 * Job: what tests import to reach the real servers, each test in a namespace of its own, so that tests neither see nor
 * disturb each other and any server may be shared. Without a server a test fails; it is never skipped.
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

/** The endpoints of the servers; reading one that is absent throws an error that says how to get it. */
export interface TestServers {
  readonly redisUrl: string;
  readonly redisClusterNodes: { host: string; port: number }[];
  /** A superuser's URL of the maintenance database; tests use {@link createTestDatabase}. */
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

/** Where the servers are that `scripts/test` started. */
export function testServers(): TestServers {
  return servers;
}

/** Eight letters or digits that no other test has. */
function unique(): string {
  return randomBytes(5).toString('hex');
}

/** A prefix for every key of one test, ending in a colon. */
export function redisNamespace(): string {
  return `t${unique()}:`;
}

/** A MongoDB URL whose path names a database that does not exist yet, and how to drop it. */
export function createTestMongo(): { url: string; database: string; drop(): Promise<void> } {
  const database = `fstore_t_${unique()}`;
  const url = new URL(servers.mongoUrl);
  url.pathname = `/${database}`;
  const drop = async () => {
    // Loaded only here: most tests need no MongoDB, and its driver is slow to load.
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

/** An empty PostgreSQL database; `drop` also throws out whoever is still connected. */
export interface TestDatabase {
  readonly url: string;
  readonly name: string;
  drop(): Promise<void>;
}

/**
 * Creates a database for one test.
 *
 * @throws when PostgreSQL can not be reached
 */
export async function createTestDatabase(): Promise<TestDatabase> {
  const name = `fstore_t_${unique()}`;
  // template0 has no users, so that any number of tests may copy it at once; template1 would be "being accessed".
  await withPostgres(servers.postgresUrl, (client) => client.query(`CREATE DATABASE ${name} TEMPLATE template0`));
  const url = new URL(servers.postgresUrl);
  url.pathname = `/${name}`;
  const drop = async () => {
    await withPostgres(servers.postgresUrl, (client) => client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`));
  };
  return { url: url.href, name, drop };
}

/**
 * How often each Redis command was called since the server's start, by everybody: compare two of them, and run nothing
 * else on that server in between.
 *
 * @param url one server; of a cluster, one node
 * @returns calls by command in lower case; those of a container as "cluster|info"
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

/** What was called between two looks at {@link redisCommandStats}, without the looking itself. */
export function commandsBetween(before: Record<string, number>, after: Record<string, number>): Record<string, number> {
  const own = new Set(['info', 'hello', 'client|setinfo', 'client|setname']);
  const grown = Object.entries(after).map(([command, calls]) => [command, calls - (before[command] ?? 0)] as const);
  return Object.fromEntries(grown.filter(([command, calls]) => calls > 0 && !own.has(command)));
}

/** Counts the statements that clients run in one database. */
export interface StatementCount {
  /** Starts again at zero. */
  reset(): Promise<void>;
  /** Calls by query text, constants replaced by $1, $2…; without this counter's own queries. */
  calls(): Promise<Record<string, number>>;
  /** The sum of all calls. */
  total(): Promise<number>;
}

/**
 * Counts statements by pg_stat_statements, from zero on.
 *
 * @param databaseUrl the database whose statements count; use a fresh one of {@link createTestDatabase}
 * @throws when the server has not loaded pg_stat_statements
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
