/** Connections to PostgreSQL: a pool that recovers, transactions, and failures in words of the table. */
import pg from 'pg';
import { FStoreError } from '../errors.js';

const CONNECT_TIMEOUT = 3_000;
/** Milliseconds that a statement may take beyond its timeout before its connection counts as dead. */
const GRACE = 500;
/** SQLSTATEs that mean that the server cannot answer now: connection, resources, intervention, I/O, read-only, idle. */
const UNAVAILABLE = /^(?:08|53|57|58|25006|25P03)/;
/** Errors of the driver that have no code. */
const DRIVER_FAILURE = /timeout e|Query read timeout|Connection terminated|not queryable|after calling end|SSL/i;
/** Serialization failure and deadlock: the same transaction may succeed when it is run again. */
const RETRYABLE = new Set(['40001', '40P01']);
const ATTEMPTS = 5;
/** What the text of values depends on is fixed, whatever the server, the database or the role has set. */
const SESSION = [
  // Compiling a statement takes longer than any of these runs.
  'jit=off',
  'TimeZone=UTC',
  'DateStyle=ISO',
  'extra_float_digits=1',
  // A worker that vanished in the middle of a transaction must not hold its locks for hours.
  'idle_in_transaction_session_timeout=30s',
  'tcp_keepalives_idle=10',
  'tcp_keepalives_interval=5',
  'tcp_keepalives_count=3',
];

export interface PoolOptions {
  readonly url: string;
  readonly size: number;
  /** Milliseconds after which a statement is given up; default: 30 s. */
  readonly statementTimeout?: number;
  /** Settings of its sessions besides those of all, each as `name=value`. */
  readonly settings?: readonly string[];
  readonly onError: (error: Error) => void;
}

/** Opens a pool whose sessions run in UTC. A connection that drops while idle is reported and replaced. */
export function createPool({ url, size, statementTimeout = 30_000, settings = [], onError }: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: size,
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    options: [...SESSION, ...settings].map((setting) => `-c ${setting}`).join(' '),
    statement_timeout: statementTimeout,
    query_timeout: statementTimeout + GRACE,
  });
  pool.on('error', onError);
  pool.on('connect', (client) => void client.on('error', onError));
  return pool;
}

/** True if an error says that the server cannot be reached or cannot answer. */
function isUnavailable(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return UNAVAILABLE.test(error.code ?? '');
  const { code, message } = error as { code?: unknown; message?: unknown };
  // Node's network errors: ECONNREFUSED, EAI_AGAIN…; its ERR_… are defects of the caller.
  if (typeof code === 'string') return /^E(?!RR_)[A-Z_]+$/.test(code);
  return DRIVER_FAILURE.test(`${message}`);
}

/** Runs `work`; a failure of the connection becomes STORE_UNAVAILABLE with its cause. */
export async function reachable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof FStoreError || !isUnavailable(error)) throw error;
    throw new FStoreError('STORE_UNAVAILABLE', 'PostgreSQL cannot be reached', {}, [], { cause: error });
  }
}

/** Runs `work` in a transaction; runs it again after a serialization failure or deadlock. */
export async function inTransaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  return reachable(async () => {
    for (let attempt = 1; ; attempt += 1) {
      const client = await pool.connect();
      try {
        // What a transaction reads after a lock must be newer than the lock, whatever the database's default is.
        await client.query('BEGIN ISOLATION LEVEL READ COMMITTED');
        const result = await work(client);
        await client.query('COMMIT');
        client.release();
        return result;
      } catch (error) {
        // A connection that does not answer would not answer a ROLLBACK either; closing it is one.
        const broken = isUnavailable(error) || !(await rolledBack(client));
        client.release(broken);
        if (attempt >= ATTEMPTS || !RETRYABLE.has((error as { code?: string }).code ?? '')) throw error;
      }
    }
  });
}

async function rolledBack(client: pg.PoolClient): Promise<boolean> {
  return client.query('ROLLBACK').then(
    () => true,
    () => false,
  );
}
