/** Paths of batch files, and which batches this process can read itself. */
import { isAbsolute, join, normalize, sep } from 'node:path';
import type { BatchMeaning } from '../definition/definition-record.js';
import { FStoreError } from '../errors.js';
import type { TableFormat } from '../tabular/table-schema.js';

/** Returns a path within a folder. Throws BAD_REQUEST if it leads out of the folder. */
export function pathWithin(folder: string, path: string): string {
  const clean = normalize(path);
  if (isAbsolute(clean) || clean.split(sep).includes('..')) {
    throw new FStoreError('BAD_REQUEST', `${path} leads out of the folder of batch files`, { field: 'batch' });
  }
  return join(folder, clean);
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
