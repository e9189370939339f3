/** Opens a table in the thread that calls it. Reading blocks that thread. */
import { readArrow } from './arrow-table.js';
import { readCsv } from './csv-table.js';
import { readNdjson } from './ndjson-table.js';
import { readParquet } from './parquet-table.js';
import { openTableFile, type TableFile } from './table-file.js';
import type { TableFormat, TableReading, TableReadOptions } from './table-schema.js';

const READERS: Record<TableFormat, (file: TableFile, options: TableReadOptions) => Promise<TableReading>> = {
  csv: readCsv,
  ndjson: readNdjson,
  parquet: readParquet,
  arrow: readArrow,
};

/** Opens a file of a format. Throws BAD_REQUEST or TABLE_TOO_LARGE. */
export async function openTable(path: string, format: TableFormat, options: TableReadOptions): Promise<TableReading> {
  const file = await openTableFile(path, options.field ?? 'spine', options.within ?? null);
  try {
    return await READERS[format](file, options);
  } catch (error) {
    await file.handle.close();
    throw error;
  }
}
