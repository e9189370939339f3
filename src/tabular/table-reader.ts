/** Reads files of rows: CSV, NDJSON, Parquet and Arrow, in batches, so that memory stays flat. */
import { stat } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import { readArrow } from './arrow-table.js';
import { unusable } from './column-selection.js';
import { readParquet } from './parquet-table.js';
import { TABLE_FORMATS, type TableFormat, type TableReading, type TableReadOptions } from './table-schema.js';
import { readCsv, readNdjson } from './text-table.js';

const READERS: Record<TableFormat, (path: string, name: string, options: TableReadOptions) => Promise<TableReading>> = {
  csv: readCsv,
  ndjson: readNdjson,
  parquet: readParquet,
  arrow: readArrow,
};

/** The format that a file's name tells, or null. */
export function formatOfName(path: string): TableFormat | null {
  const extension = extname(path).slice(1).toLowerCase();
  const format = { jsonl: 'ndjson', feather: 'arrow', pq: 'parquet' }[extension] ?? extension;
  return TABLE_FORMATS.find((one) => one === format) ?? null;
}

/**
 * Opens a table. Values come in the form of their types; a value, row or file that does not fit is BAD_REQUEST, which names file, row
 * (from 1) and column.
 */
export async function readTable(path: string, options: TableReadOptions = {}): Promise<TableReading> {
  const name = basename(path);
  const format = options.format ?? formatOfName(path);
  if (!format) throw unusable(`${name} is of no known format; it is one of ${TABLE_FORMATS.join(', ')}`, 'format');
  const found = await stat(path).catch((error: unknown) => {
    throw unusable(`there is no file ${name}`, 'spine', error);
  });
  if (found.isDirectory())
    throw unusable(`${name} is a folder; a source reads folders with \`engine: spark\``, 'spine');
  return READERS[format](path, name, options);
}
