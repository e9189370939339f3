/** Paths of batch files, and which batches this process can read itself. */
import { realpathSync } from 'node:fs';
import { basename, extname, isAbsolute, join, normalize, sep } from 'node:path';
import type { BatchMeaning } from '../definition/definition-record.js';
import { FStoreError } from '../errors.js';
import type { TableFormat } from '../tabular/table-schema.js';

/** What a path of each format ends in. Spark also reads folders, whose files it looks at itself. */
const ENDINGS: Readonly<Record<BatchFormat, readonly string[]>> = {
  csv: ['.csv'],
  ndjson: ['.ndjson', '.jsonl'],
  parquet: ['.parquet', '.pq'],
  arrow: ['.arrow', '.feather'],
  orc: ['.orc'],
};
type BatchFormat = TableFormat | 'orc';

/**
 * The path of a batch file, or of a folder of them, as far as its text tells. The reader also checks the real path. `field`
 * is the field of the request that names it. Throws BAD_REQUEST for a path that leads out of the folder, that is hidden, or whose
 * ending is not one of the format.
 */
export function pathWithin(folder: string, path: string, format: BatchFormat | null = null, field = 'batch'): string {
  const refuse = (what: string): never => {
    throw new FStoreError('BAD_REQUEST', `${path.slice(0, 100)} ${what}`, { field });
  };
  const clean = normalize(path);
  if (isAbsolute(clean) || clean.split(sep).includes('..')) refuse('leads out of the folder of batch files');
  if (clean.includes('\0')) refuse('has the character U+0000');
  if (clean.split(sep).some((part) => part.startsWith('.') && part !== '.')) {
    refuse('is hidden: a name within the folder of batch files must not begin with a dot');
  }
  const endings = format === null ? Object.values(ENDINGS).flat() : ENDINGS[format];
  const ending = extname(clean).toLowerCase();
  if (!clean.endsWith(sep) && !endings.includes(ending)) {
    refuse(`does not end in ${endings.join(' or ')}`);
  }
  return join(folder, clean);
}

/**
 * Checks where a path leads by links, as long as there is something at it. Files within a folder that Spark reads are not looked at.
 * Throws BAD_REQUEST.
 */
export function checkRealPath(folder: string, path: string): void {
  let [root, real] = ['', ''];
  try {
    [root, real] = [realpathSync(folder), realpathSync(path)];
  } catch {
    // Spark says that there is nothing.
    return;
  }
  if (real === root || real.startsWith(root.endsWith(sep) ? root : root + sep)) return;
  const message = `${basename(path)} is a link that leads out of the folder of batch files`;
  throw new FStoreError('BAD_REQUEST', message, { field: 'batch' });
}

/** A batch that this process can read without Spark. */
export type LocalBatch = { readonly query: string } | { readonly format: TableFormat; readonly path: string };

/** Returns whether a path is the URL of other storage. */
export function isAddress(path: string): boolean {
  return /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(path);
}

/**
 * Returns a batch as this process reads it; null if only Spark can read it: ORC, another database, a folder or a URL.
 */
export function localBatch(batch: BatchMeaning): LocalBatch | null {
  if ('query' in batch) return batch.connection === undefined ? { query: batch.query } : null;
  const { format, path } = batch;
  return format === 'orc' || path.endsWith('/') || isAddress(path) ? null : { format, path };
}
