/** Connections to PostgreSQL: a pool that recovers, transactions, and failures in words of the table. */
import pg from 'pg';
import { FStoreError } from '../errors.js';

const CONNECT_TIMEOUT = 3_000;
/** Classes of SQLSTATE that mean that the server cannot answer now: connection, resources, operator intervention, I/O. */
const UNAVAILABLE = /^(?:08|53|57|58)/;
/** Serialization failure and deadlock: the same transaction may succeed when it is run again. */
const RETRYABLE = new Set(['40001', '40P01']);
const ATTEMPTS = 5;

export interface PoolOptions {
  readonly url: string;
  readonly size: number;
  /** Milliseconds after which a statement is given up. */
  readonly statementTimeout?: number;
  readonly onError: (error: Error) => void;
}

/** Opens a pool whose sessions run in UTC. A connection that drops while idle is reported and replaced. */
export function createPool({ url, size, statementTimeout, onError }: PoolOptions): pg.Pool {
  const pool = new pg.Pool({
    connectionString: url,
    max: size,
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    idleTimeoutMillis: 60_000,
    keepAlive: true,
    options: '-c TimeZone=UTC -c extra_float_digits=1',
    ...(statementTimeout ? { statement_timeout: statementTimeout, query_timeout: statementTimeout + 500 } : {}),
  });
  pool.on('error', onError);
  pool.on('connect', (client) => void client.on('error', onError));
  return pool;
}

/** True if an error of the driver says that the server cannot be reached or cannot answer. */
function isUnavailable(error: unknown): boolean {
  const { code, message } = error as { code?: string; message?: string };
  if (code && /^[0-9A-Z]{5}$/.test(code)) return UNAVAILABLE.test(code);
  return Boolean(code) || /timeout|terminated|Connection|ended|closed/i.test(message ?? '');
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
      let broken: Error | undefined;
      try {
        await client.query('BEGIN');
        const result = await work(client);
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch((failure: Error) => {
          broken = failure;
        });
        if (attempt >= ATTEMPTS || !RETRYABLE.has((error as { code?: string }).code ?? '')) throw error;
      } finally {
        client.release(broken);
      }
    }
  });
}
