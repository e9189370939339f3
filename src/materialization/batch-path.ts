/** Where batches are: paths of files, and what this process cannot read itself. */
import { isAbsolute, join, normalize, sep } from 'node:path';
import type { BatchMeaning } from '../definition/definition-record.js';
import { FStoreError } from '../errors.js';
import type { TableFormat } from '../tabular/table-schema.js';

/** A path that stays in its folder. Throws BAD_REQUEST. */
export function pathWithin(folder: string, path: string): string {
  const clean = normalize(path);
  if (isAbsolute(clean) || clean.split(sep).includes('..')) {
    throw new FStoreError('BAD_REQUEST', `${path} leads out of the folder of batch files`, { field: 'batch' });
  }
  return join(folder, clean);
}

/** What this process reads by itself. */
export type LocalBatch = { readonly query: string } | { readonly format: TableFormat; readonly path: string };

/** True for a path that is an address of other storage. */
export function isAddress(path: string): boolean {
  return /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(path);
}

/** A batch as this process reads it; null for what only Spark reads: ORC, another database, a folder, an address. */
export function localBatch(batch: BatchMeaning): LocalBatch | null {
  if ('query' in batch) return batch.connection === undefined ? { query: batch.query } : null;
  const { format, path } = batch;
  return format === 'orc' || path.endsWith('/') || isAddress(path) ? null : { format, path };
}
