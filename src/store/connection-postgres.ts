/** Connections to PostgreSQL: a pool that recovers, transactions, and conversion of failures to FStoreError. */
import pg from 'pg';
import { FStoreError } from '../errors.js';

const CONNECT_TIMEOUT = 3_000;
/** How much longer than its timeout a statement may take before its connection counts as dead, in milliseconds. */
const GRACE = 500;
/**
 * SQLSTATEs that mean that the server cannot answer now: connection, resources, intervention, I/O, read-only, idle.
 */
const UNAVAILABLE = /^(?:08|53|57|58|25006|25P03)/;
/** SQLSTATE of a text that PostgreSQL cannot store: one with the character U+0000. */
const UNTRANSLATABLE = '22021';
/** SQLSTATE of a statement that was cancelled, mostly by its own time limit. */
const CANCELED = '57014';
/** Errors of the driver that have no code. */
const DRIVER_FAILURE = /timeout e|Query read timeout|Connection terminated|not queryable|after calling end|SSL/i;
/** Serialization failure and deadlock: the same transaction may succeed if it runs again. */
const RETRYABLE = new Set(['40001', '40P01']);
const ATTEMPTS = 5;
/**
 * Fixed settings of all sessions, because the text of values depends on them, whatever server, database or role define.
 */
export const SESSION = [
  // Compiling a statement takes longer than any of these statements runs.
  'jit=off',
  'TimeZone=UTC',
  'DateStyle=ISO',
  'extra_float_digits=1',
  // A worker that dies in the middle of a transaction must not hold its locks for hours.
  'idle_in_transaction_session_timeout=30s',
  'tcp_keepalives_idle=10',
  'tcp_keepalives_interval=5',
  'tcp_keepalives_count=3',
];

/** Settings of a pool. */
export interface PoolOptions {
  readonly url: string;
  readonly size: number;
  /** How long a statement may take, in milliseconds; 30,000 by default. */
  readonly statementTimeout?: number;
  /** Further settings of its sessions, each as `name=value`. */
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

/** Returns whether an error means that the server cannot be reached or cannot answer. */
export function isUnavailable(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return UNAVAILABLE.test(error.code ?? '');
  const { code, message } = error as { code?: unknown; message?: unknown };
  // Node's network errors: ECONNREFUSED, EAI_AGAIN and others. Its ERR_… codes are defects of the caller.
  if (typeof code === 'string') return /^E(?!RR_)[A-Z_]+$/.test(code);
  return DRIVER_FAILURE.test(`${message}`);
}

/**
 * Runs `work`. Converts a failure of the connection to STORE_UNAVAILABLE with its cause, and a statement that was
 * cancelled at its time limit to STORE_TIMEOUT.
 */
export async function reachable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === UNTRANSLATABLE) {
      throw new FStoreError('BAD_REQUEST', 'a text holds the character U+0000', {}, [], { cause: error });
    }
    if (error instanceof FStoreError || !isUnavailable(error)) throw error;
    if (error instanceof pg.DatabaseError && error.code === CANCELED) {
      throw new FStoreError('STORE_TIMEOUT', 'PostgreSQL cancelled a statement', {}, [], { cause: error });
    }
    throw new FStoreError('STORE_UNAVAILABLE', 'PostgreSQL cannot be reached', {}, [], { cause: error });
  }
}

/** Runs `work` in a transaction. Runs it again after a serialization failure or a deadlock, 5 times at most. */
export async function inTransaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  return reachable(async () => {
    for (let attempt = 1; ; attempt += 1) {
      const client = await pool.connect();
      try {
        // Reads after a lock must see what was committed before the lock, whatever the database's default level is.
        await client.query('BEGIN ISOLATION LEVEL READ COMMITTED');
        const result = await work(client);
        await client.query('COMMIT');
        client.release();
        return result;
      } catch (error) {
        // A connection that does not answer would not answer a ROLLBACK either; closing it has the same effect.
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
