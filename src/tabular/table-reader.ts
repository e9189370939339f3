/**
 * Reads files of rows: CSV, NDJSON, Parquet and Arrow, in batches.
 *
 * Job: a thread of its own parses the file; this side takes its rows. Two answers are in flight at most, so memory stays flat.
 */
import { basename, extname } from 'node:path';
import type { TextLine } from './ndjson-table.js';
import { shownText, unusable } from './table-limit.js';
import { type TableAnswer, type TableTask, unpackError } from './table-message.js';
import { TABLE_FORMATS, type TableFormat, type TableReading, type TableReadOptions } from './table-schema.js';
import { type ThreadLease, takeReader } from './table-threads.js';

/** The format that a file's name tells, or null. */
export function formatOfName(path: string): TableFormat | null {
  const extension = extname(path).slice(1).toLowerCase();
  const format = { jsonl: 'ndjson', feather: 'arrow', pq: 'parquet' }[extension] ?? extension;
  return TABLE_FORMATS.find((one) => one === format) ?? null;
}

/**
 * Opens a table. Values come in the form of their types. Throws BAD_REQUEST for a value, row or file that does not fit, with file,
 * row (from 1) and column; TABLE_TOO_LARGE for a file that is over a limit.
 */
export async function readTable(path: string, options: TableReadOptions = {}): Promise<TableReading> {
  const format = options.format ?? formatOfName(path);
  if (!format) {
    const message = `${shownText(basename(path))} is of no known format; it is one of ${TABLE_FORMATS.join(', ')}`;
    throw unusable(message, options.field ?? 'format');
  }
  const { answer, lease } = await begin({ task: 'read', path, format, options });
  const { schema, rowCount } = answer as Extract<TableAnswer, { rowCount: unknown }>;
  const release = (): Promise<void> => lease.release(true);
  return {
    schema,
    rowCount,
    batches: async function* () {
      try {
        for await (const one of pull(lease)) if ('batches' in one) yield* one.batches;
      } finally {
        await release();
      }
    },
    close: release,
  };
}

/**
 * Reads the lines of a text that are not blank, as lists of them. Throws BAD_REQUEST or TABLE_TOO_LARGE, as `readTable`.
 */
export async function* readTextLines(
  path: string,
  options: Pick<TableReadOptions, 'within' | 'field'> = {},
): AsyncGenerator<readonly TextLine[]> {
  const { lease } = await begin({ task: 'lines', path, options });
  try {
    for await (const one of pull(lease)) if ('lines' in one) yield one.lines;
  } finally {
    await lease.release(true);
  }
}

async function begin(task: Extract<TableTask, { task: 'read' | 'lines' }>) {
  const lease = await takeReader({ name: shownText(basename(task.path)), field: task.options.field ?? 'spine' });
  try {
    return { answer: await lease.thread.ask(task), lease };
  } catch (error) {
    await lease.release(false);
    throw error;
  }
}

/** Asks for one answer more than the one that is worked with. */
async function* pull({ thread }: ThreadLease): AsyncGenerator<TableAnswer> {
  const ask = (): Promise<TableAnswer> => {
    const answer = thread.ask({ next: true });
    // It is awaited later, or never.
    answer.catch(() => {});
    return answer;
  };
  let next = ask();
  for (;;) {
    const answer = await next;
    if (!('ended' in answer)) return;
    if (!answer.ended) next = ask();
    yield answer;
    if ('error' in answer && answer.error) throw unpackError(answer.error);
    if (answer.ended) return;
  }
}
