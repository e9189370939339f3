/**
 * Reads SELECTs of users from PostgreSQL, by a login that may read what an administrator has granted and nothing else.
 *
 * A text runs as its own statement. The one exception is `order`, which wraps it as `SELECT … FROM (text) AS rows ORDER BY …`. It cannot
 * leave the brackets: PostgreSQL has parsed it alone, as one statement, so its brackets are balanced and no quote or comment is open at its
 * end. What is wrapped is parsed again, as one statement, by the extended protocol.
 */
import { connect } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { FStoreError } from '../errors.js';
import { isUnavailable, reachable, SESSION } from './connection-postgres.js';
import { parseStatement, readPages, type TextRow } from './portal-postgres.js';
import { queryError, queryTimeout, type SentQuery } from './query-error-postgres.js';
import type { QueryOptions, QueryReader, RowTable } from './query-reader.js';
import { selectText } from './select-text.js';
import { type ResultColumn, resultColumns, rowReader } from './text-row-postgres.js';

export interface PostgresQueryReaderOptions {
  /** Address with the read login. */
  readonly url: string;
  /** Milliseconds that a query may take; of a query whose rows have no bound, each page. */
  readonly timeout: number;
}

const CONNECT_TIMEOUT = 3_000;
/** Milliseconds after the time limit after which the connection is closed, should the server not have cancelled the statement. */
const GRACE = 500;
/** Bytes that may come for one page: a single row may be of any size. */
const MAX_PAGE_BYTES = 64_000_000;
/** The number by which the protocol knows a request to cancel. */
const CANCEL_REQUEST = 80_877_102;

/** Makes the reader; it connects for each query anew. */
export function createPostgresQueryReader(options: PostgresQueryReaderOptions): QueryReader {
  const inSession = <T>(query: string, limit: number | null, work: (session: Session) => Promise<T>): Promise<T> =>
    reachable(async () => {
      const session = new Session(options, selectText(query), limit);
      try {
        await session.open();
        return await work(session);
      } finally {
        await session.close();
      }
    });
  return {
    closed: null,
    check: (query) => inSession(query, options.timeout, (session) => session.parse().then(() => session.text)),
    read: (query, { columns, order, rows }: QueryOptions, take) =>
      inSession(query, rows === undefined ? null : options.timeout, async (session) => {
        let found = await session.parse();
        if (order) found = await session.parseOrdered(columns ?? found, order);
        const read = rowReader(found, columns);
        const pages = session.pages(rows);
        async function* batches(): RowTable['batches'] {
          for await (const page of pages) yield page.map(read);
        }
        await take({ schema: columns ?? found, batches: batches() });
      }),
  };
}

/** One connection for one text. */
class Session {
  readonly text: string;
  readonly #options: PostgresQueryReaderOptions;
  readonly #client: pg.Client;
  /** When it must be done, by the clock of `performance`; null: each step has the whole time limit. */
  readonly #deadline: number | null;
  #sent: SentQuery;
  #failure: Error | null = null;
  #isOpen = false;
  #bytes = 0;

  constructor(options: PostgresQueryReaderOptions, text: string, limit: number | null) {
    const { url, timeout } = options;
    this.text = text;
    this.#options = options;
    this.#deadline = limit === null ? null : performance.now() + limit;
    this.#sent = { text, before: '', isParsed: false };
    const settings = [...SESSION, 'standard_conforming_strings=on', `statement_timeout=${timeout}`];
    this.#client = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: CONNECT_TIMEOUT,
      application_name: 'fstore query',
      options: settings.map((setting) => `-c ${setting}`).join(' '),
    });
    this.#client.on('error', (error) => {
      this.#failure ??= error;
    });
  }

  async open(): Promise<void> {
    try {
      await this.#client.connect();
    } catch (error) {
      const { code } = error as { code?: string };
      if (isUnavailable(error)) throw error;
      const message = `PostgreSQL refuses the read login: ${/^[0-9A-Z]{5}$/.test(code ?? '') ? `SQLSTATE ${code}` : 'it gives no code'}`;
      throw new FStoreError('STORE_UNAVAILABLE', message, {}, [], { cause: error });
    }
    this.#isOpen = true;
    this.#stream.on('data', (chunk: Buffer) => {
      this.#bytes += chunk.length;
      if (this.#bytes <= MAX_PAGE_BYTES) return;
      const message = `rows of the query are too large: more than ${MAX_PAGE_BYTES} bytes at once`;
      this.#abandon(new FStoreError('BAD_REQUEST', message, { field: 'query' }));
    });
    await this.#step(() => this.#client.query('BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY'));
  }

  /** Parses the text alone. */
  parse(): Promise<ResultColumn[]> {
    return this.#parse(this.text, '');
  }

  /** Parses the text, put in order, in place of the text. */
  parseOrdered(columns: readonly ResultColumn[], order: readonly string[]): Promise<ResultColumn[]> {
    const names = columns.map(({ name }) => pg.escapeIdentifier(name));
    const before = `SELECT ${names.join(', ')} FROM (\n`;
    const after = `\n) AS rows ORDER BY ${order.map((name) => pg.escapeIdentifier(name)).join(', ')}`;
    return this.#parse(`${before}${this.text}${after}`, before);
  }

  async #parse(statement: string, before: string): Promise<ResultColumn[]> {
    this.#sent = { text: this.text, before, isParsed: false };
    const fields = await this.#step(() => parseStatement(this.#client, statement));
    if (fields.length === 0) throw new FStoreError('BAD_REQUEST', 'the query has no columns', { field: 'query' });
    this.#sent = { ...this.#sent, isParsed: true };
    return resultColumns(fields);
  }

  /** Runs what was parsed last. */
  async *pages(rows: number | undefined): AsyncGenerator<readonly TextRow[]> {
    const pages = readPages(this.#client, [], rows);
    for (;;) {
      const page = await this.#step(() => pages.next());
      if (page.done) return;
      yield page.value;
    }
  }

  async close(): Promise<void> {
    if (this.#isOpen) {
      const ended = this.#client.query('ROLLBACK').then(() => this.#client.end());
      await Promise.race([ended.catch(() => {}), delay(GRACE, undefined, { ref: false })]);
    }
    this.#destroy();
  }

  /** Waits for the server, but no longer than the time limit: a text may lift the server's own. */
  async #step<T>(work: () => Promise<T>): Promise<T> {
    if (this.#failure) throw this.#failure;
    this.#bytes = 0;
    const { timeout } = this.#options;
    const left = this.#deadline === null ? timeout : this.#deadline - performance.now();
    const timer = setTimeout(() => this.#abandon(queryTimeout(timeout)), Math.max(0, left) + GRACE);
    try {
      return await work();
    } catch (error) {
      throw this.#failure ?? queryError(error, this.#sent, timeout);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Has the server cancel what runs, and closes the connection without waiting for it. */
  #abandon(reason: FStoreError): void {
    if (this.#failure) return;
    this.#failure = reason;
    cancel(this.#client);
    this.#destroy();
  }

  #destroy(): void {
    this.#stream.destroy();
  }

  get #stream(): Duplex {
    return (this.#client as unknown as { connection: pg.Connection }).connection.stream;
  }
}

/** Asks the server, on a connection of its own, to cancel what another connection runs. It does not answer. */
function cancel(client: pg.Client): void {
  const { processID, secretKey } = client as unknown as { processID: number; secretKey: number };
  const request = Buffer.alloc(16);
  for (const [index, word] of [16, CANCEL_REQUEST, processID, secretKey].entries())
    request.writeInt32BE(word | 0, index * 4);
  const { host, port } = client;
  const socket = host.startsWith('/') ? connect(join(host, `.s.PGSQL.${port}`)) : connect(port, host);
  socket.on('error', () => {}).setTimeout(CONNECT_TIMEOUT, () => socket.destroy());
  socket.end(request);
  socket.resume();
}
