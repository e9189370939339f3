/** Cuts rows into batches, each of which fits into memory and crosses between threads in milliseconds. */
import type { FeatureValue } from '../definition/value-type.js';
import type { TableRow } from './table-schema.js';

/** Values of one batch at most: the time of a few milliseconds for the thread that takes it. */
const BATCH_VALUES = 50_000;
/** Characters of the texts of one batch at most. */
const BATCH_CHARACTERS = 4 * 1_048_576;

/** How much memory the texts and lists of a row take, in characters. */
export function weightOf(row: TableRow): number {
  let weight = 0;
  for (const value of row) if (typeof value === 'string' || Array.isArray(value)) weight += weightOfValue(value);
  return weight;
}

function weightOfValue(value: FeatureValue): number {
  if (typeof value === 'string') return value.length;
  if (!Array.isArray(value)) return 4;
  let weight = 4 * value.length;
  for (const item of value as readonly unknown[]) if (typeof item === 'string') weight += item.length;
  return weight;
}

/** Reads records and gives rows in batches of `size` at most. Of a batch with a row that is refused no row is given. */
export async function* inBatches<T>(
  lists: AsyncIterable<readonly T[]> | Iterable<readonly T[]>,
  read: (record: T) => TableRow,
  size: number,
): AsyncGenerator<readonly TableRow[]> {
  let batch: TableRow[] = [];
  let weight = 0;
  for await (const list of lists) {
    for (const record of list) {
      const row = read(record);
      batch.push(row);
      weight += weightOf(row);
      if (batch.length >= size || weight >= BATCH_CHARACTERS || batch.length * row.length >= BATCH_VALUES) {
        yield batch;
        batch = [];
        weight = 0;
      }
    }
  }
  if (batch.length > 0) yield batch;
}
