/**
 * Statements of the extended protocol, step by step: parse, bind, and read page by page.
 *
 * The protocol takes one statement only, and parsing runs nothing. That a statement can be parsed without being planned, and that a page
 * has a bound in bytes, is why this is not `pg-cursor`.
 */
import type pg from 'pg';

/** Bytes that a page should have; its number of rows follows from the rows before. */
const PAGE_BYTES = 4_000_000;
const FIRST_ROWS = 200;
const MAX_ROWS = 5_000;

/** A row as PostgreSQL writes it: the text of each value. */
export type TextRow = readonly (string | null)[];

/** The messages of the driver's connection that are used here. */
interface Protocol {
  readonly stream: { cork(): void; uncork(): void };
  parse(message: { text: string; name: string }): void;
  describe(message: { type: 'S' | 'P'; name: string }): void;
  bind(message: { statement: string; portal: string; values: readonly unknown[] }): void;
  execute(message: { portal: string; rows: number }): void;
  sync(): void;
  sendCopyFail(reason: string): void;
}

/** Sends some messages and gathers what is answered up to the next Sync. The driver calls its methods. */
class Exchange {
  readonly #send: (connection: Protocol) => void;
  readonly fields: pg.FieldDef[] = [];
  readonly rows: TextRow[] = [];
  bytes = 0;
  isSuspended = false;
  callback: (error: Error | null) => void = () => {};

  constructor(send: (connection: Protocol) => void) {
    this.#send = send;
  }

  submit(connection: pg.Connection): void {
    const protocol = connection as unknown as Protocol;
    protocol.stream.cork();
    this.#send(protocol);
    protocol.sync();
    protocol.stream.uncork();
  }

  handleRowDescription({ fields }: { fields: pg.FieldDef[] }): void {
    this.fields.push(...fields);
  }

  handleDataRow({ fields, length }: { fields: (string | null)[]; length: number }): void {
    this.rows.push(fields);
    this.bytes += length;
  }

  handlePortalSuspended(): void {
    this.isSuspended = true;
  }

  handleCommandComplete(): void {}
  handleEmptyQuery(): void {}
  handleCopyData(): void {}

  handleCopyInResponse(connection: Protocol): void {
    connection.sendCopyFail('only rows are read');
  }

  handleReadyForQuery(): void {
    this.callback(null);
  }

  handleError(error: Error): void {
    this.callback(error);
  }
}

function exchange(client: pg.ClientBase, send: (connection: Protocol) => void): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const one = new Exchange(send);
    one.callback = (error) => (error ? reject(error) : resolve(one));
    client.query(one as unknown as pg.Submittable);
  });
}

/**
 * Parses one statement, which is neither planned nor run. Returns the columns of its result; none: it has no result.
 * Throws what PostgreSQL says, which quotes the statement and never data.
 */
export async function parseStatement(client: pg.ClientBase, text: string): Promise<readonly pg.FieldDef[]> {
  const { fields } = await exchange(client, (connection) => {
    connection.parse({ text, name: '' });
    connection.describe({ type: 'S', name: '' });
  });
  return fields;
}

/**
 * Runs the statement that was parsed last, in the transaction that is open, and reads its rows page by page; `limit`: rows at most.
 * Throws what PostgreSQL says, which may quote data.
 */
export async function* readPages(
  client: pg.ClientBase,
  values: readonly unknown[] = [],
  limit: number = Number.MAX_SAFE_INTEGER,
): AsyncGenerator<readonly TextRow[]> {
  await exchange(client, (connection) => connection.bind({ statement: '', portal: '', values }));
  let left = limit;
  let [rows, bytes] = [0, 0];
  for (let size = FIRST_ROWS; left > 0; ) {
    const asked = Math.min(size, left);
    const page = await exchange(client, (connection) => connection.execute({ portal: '', rows: asked }));
    if (page.rows.length > 0) yield page.rows;
    if (!page.isSuspended) return;
    left -= page.rows.length;
    rows += page.rows.length;
    bytes += page.bytes;
    size = Math.min(MAX_ROWS, Math.max(1, Math.floor((PAGE_BYTES * rows) / Math.max(1, bytes))));
  }
}
