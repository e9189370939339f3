/**
 * The one connection of a process with session state: it holds the advisory locks and receives notifications.
 *
 * Invariants
 * 1. A lost connection stays lost: a reconnect creates another SessionConnection, and `alive` of the old one stays
 *    false. The locks that it held are lost with it.
 * 2. The session is reopened after each loss, with growing pauses and without a limit.
 * 3. Silence is detected on both sides. A statement that takes too long ends the connection. If the machine of a
 *    process is gone, TCP keepalive tells the server within half a minute, and the server frees its locks.
 */
import pg from 'pg';
import type { BusLog } from './event-bus-log.js';
import { GROWTH_CHANNEL } from './event-bus-schema-postgres.js';
import { pause, pauseAfter } from './event-bus-timing.js';

/** Channel that tells every process to assign the partitions of a group again. */
export const GROUPS_CHANNEL = 'fstore_bus_groups';

const CONNECT_TIMEOUT = 3_000;
/** Statements of the session are tiny. If one has no answer by then, the server is unreachable. */
const STATEMENT_TIMEOUT = 10_000;
const SETUP = `
  SET tcp_keepalives_idle = 10;
  SET tcp_keepalives_interval = 5;
  SET tcp_keepalives_count = 3;
  LISTEN ${GROWTH_CHANNEL};
  LISTEN ${GROUPS_CHANNEL};
`;

/** Callbacks for the states of the session. */
export interface SessionListeners {
  /** The session is open, for the first time or again. */
  opened(): void;
  /** The connection is lost, with all locks that it held. */
  lost(): void;
  notified(channel: string, payload: string): void;
}

/** One connection of the session. It runs statements one after the other until it is lost. */
export class SessionConnection {
  readonly #client: pg.Client;
  #last: Promise<unknown> = Promise.resolve();
  #alive = true;

  constructor(client: pg.Client) {
    this.#client = client;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** Runs a statement. Rejects if the connection is lost before the answer; the statement may have run nevertheless. */
  query<R extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<pg.QueryResult<R>> {
    const result = this.#last.then(async () => {
      if (!this.#alive) throw new Error('the session of the event bus was lost');
      try {
        return await this.#client.query<R>(sql, values);
      } catch (error) {
        if (!(error instanceof pg.DatabaseError)) await this.end();
        throw error;
      }
    });
    this.#last = result.catch(() => {});
    return result;
  }

  async end(): Promise<void> {
    this.#alive = false;
    await this.#client.end().catch(() => {});
  }
}

/** The session of a process, over all of its connections. */
export class PostgresBusSession {
  readonly #url: string;
  readonly #log: BusLog;
  readonly #listeners: SessionListeners;
  readonly #closing = new AbortController();
  #connection: SessionConnection | null = null;
  #reopening: Promise<void> = Promise.resolve();

  constructor(url: string, log: BusLog, listeners: SessionListeners) {
    this.#url = url;
    this.#log = log;
    this.#listeners = listeners;
  }

  /** Opens a connection. Rejects with the driver's error. */
  async open(): Promise<void> {
    const client = new pg.Client({
      connectionString: this.#url,
      connectionTimeoutMillis: CONNECT_TIMEOUT,
      query_timeout: STATEMENT_TIMEOUT,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      application_name: 'fstore bus session',
    });
    const connection = new SessionConnection(client);
    client.on('error', () => void connection.end());
    client.on('notification', ({ channel, payload = '' }) => this.#listeners.notified(channel, payload));
    try {
      await client.connect();
      await client.query(SETUP);
    } catch (error) {
      await connection.end();
      throw error;
    }
    if (this.#closing.signal.aborted) return connection.end();
    this.#connection = connection;
    client.once('end', () => {
      void connection.end();
      this.#onEnd(connection);
    });
    // The connection may have ended before the listener was added.
    if (!connection.alive) this.#onEnd(connection);
    else this.#listeners.opened();
    return;
  }

  /** The current connection; null if there is none. */
  get connection(): SessionConnection | null {
    return this.#connection?.alive ? this.#connection : null;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#connection?.end();
    await this.#reopening;
  }

  #onEnd(connection: SessionConnection): void {
    if (this.#connection !== connection) return;
    this.#connection = null;
    this.#listeners.lost();
    if (this.#closing.signal.aborted) return;
    this.#log('warn', 'the session of the event bus was lost; its partitions are given up until it is back');
    this.#reopening = this.#reopen();
  }

  async #reopen(): Promise<void> {
    for (let failures = 1; !this.#closing.signal.aborted; failures += 1) {
      await pause(pauseAfter(failures), this.#closing.signal);
      if (this.#closing.signal.aborted) return;
      try {
        await this.open();
        this.#log('info', 'the session of the event bus is back');
        return;
      } catch (error) {
        this.#log('debug', 'PostgreSQL cannot be reached yet', { error: (error as Error).message });
      }
    }
  }
}
