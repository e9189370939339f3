/**
 * The one connection of a process whose session matters: it holds the advisory locks and hears the notifications.
 *
 * Invariants
 * 1. A connection that was lost never comes back: after a reconnect there is another SessionConnection, and `alive` of the
 *    old one is false for good. What was held by it is held no more.
 * 2. A session is reopened for as long as it takes, with growing pauses.
 * 3. A server that does not answer is noticed: a statement that takes too long ends the connection; and the server notices a
 *    process whose machine has gone, and frees its locks, by TCP keepalive within half a minute.
 */
import pg from 'pg';
import type { BusLog } from './event-bus-log.js';
import { GROWTH_CHANNEL } from './event-bus-schema-postgres.js';
import { pause, pauseAfter } from './event-bus-timing.js';

/** Tells every process that a group may have to be shared out anew. */
export const GROUPS_CHANNEL = 'fstore_bus_groups';

const CONNECT_TIMEOUT = 3_000;
/** Statements here are tiny; one that is not answered by then never will be. */
const STATEMENT_TIMEOUT = 10_000;
const SETUP = `
  SET tcp_keepalives_idle = 10;
  SET tcp_keepalives_interval = 5;
  SET tcp_keepalives_count = 3;
  LISTEN ${GROWTH_CHANNEL};
  LISTEN ${GROUPS_CHANNEL};
`;

export interface SessionListeners {
  /** The session is open, for the first time or again. */
  opened(): void;
  /** The connection was lost, with all that it held. */
  lost(): void;
  notified(channel: string, payload: string): void;
}

/** One life of the session: runs statements one after the other until it dies. */
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

  /** Runs a statement. Rejects if the connection dies before its answer; nobody knows then whether it took effect. */
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

  /** Opens the session for the first time. Rejects with the driver's error. */
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
    // It may have died before anybody listened.
    if (!connection.alive) this.#onEnd(connection);
    else this.#listeners.opened();
    return;
  }

  /** The connection of now; null while there is none. */
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
