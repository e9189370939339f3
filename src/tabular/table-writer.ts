/** Writes files of rows: CSV, NDJSON, Parquet and Arrow. A thread of its own encodes them. */
import { basename } from 'node:path';
import { weightOf } from './row-batch.js';
import { shownText } from './table-limit.js';
import type { TableAnswer } from './table-message.js';
import type { TableColumn, TableFormat, TableRow } from './table-schema.js';
import { type ThreadLease, takeWriter } from './table-threads.js';

/** Values and characters that cross at a time: a few milliseconds of work for this side. */
const PIECE_VALUES = 50_000;
const PIECE_CHARACTERS = 4 * 1_048_576;
/** Pieces that are in flight at most. */
const PIECES = 2;

export interface TableWriter {
  write(rows: readonly TableRow[]): Promise<void>;
  /** Finishes the file; returns its size in bytes. */
  close(): Promise<{ readonly bytes: number }>;
  /** Gives up what is not closed; does nothing after `close`. */
  discard(): Promise<void>;
}

/** Creates a file of these columns, in place of one that is there. */
export async function openTableWriter(
  path: string,
  format: TableFormat,
  schema: readonly TableColumn[],
): Promise<TableWriter> {
  const lease = takeWriter({ name: shownText(basename(path)), field: 'format' });
  try {
    await lease.thread.ask({ task: 'write', path, format, schema });
  } catch (error) {
    await lease.release(false);
    throw error;
  }
  return new ThreadWriter(lease);
}

class ThreadWriter implements TableWriter {
  readonly #lease: ThreadLease;
  readonly #sent: Promise<TableAnswer>[] = [];

  constructor(lease: ThreadLease) {
    this.#lease = lease;
  }

  async write(rows: readonly TableRow[]): Promise<void> {
    for (const piece of piecesOf(rows)) {
      while (this.#sent.length >= PIECES) await this.#sent.shift();
      const answer = this.#lease.thread.ask({ rows: piece });
      answer.catch(() => {});
      this.#sent.push(answer);
    }
  }

  async close(): Promise<{ readonly bytes: number }> {
    try {
      await Promise.all(this.#sent);
      const answer = await this.#lease.thread.ask({ close: true });
      await this.#lease.release(false);
      return { bytes: 'bytes' in answer ? answer.bytes : 0 };
    } catch (error) {
      await this.discard();
      throw error;
    }
  }

  discard(): Promise<void> {
    return this.#lease.release(true);
  }
}

function* piecesOf(rows: readonly TableRow[]): Generator<readonly TableRow[]> {
  let piece: TableRow[] = [];
  let weight = 0;
  for (const row of rows) {
    piece.push(row);
    weight += weightOf(row);
    if (piece.length * row.length < PIECE_VALUES && weight < PIECE_CHARACTERS) continue;
    yield piece;
    piece = [];
    weight = 0;
  }
  if (piece.length > 0) yield piece;
}
