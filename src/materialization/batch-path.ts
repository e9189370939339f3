/** Paths of batch files. */
import { isAbsolute, join, normalize, sep } from 'node:path';
import { FStoreError } from '../errors.js';

/** A path that stays in its folder. Throws BAD_REQUEST. */
export function pathWithin(folder: string, path: string): string {
  const clean = normalize(path);
  if (isAbsolute(clean) || clean.split(sep).includes('..')) {
    throw new FStoreError('BAD_REQUEST', `${path} leads out of the folder of batch files`, { field: 'batch' });
  }
  return join(folder, clean);
}
