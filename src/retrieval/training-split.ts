/** Assigns rows of a training set to the train or the test split, by a hash or by time. */
import { createHash } from 'node:crypto';

/**
 * How to split: a share of the rows or of the entities for testing, or all rows from an instant on. Splitting by entity
 * (the combination of join keys) keeps each entity in one split.
 */
export type TrainingSplit =
  | { readonly by: 'row' | 'entity'; readonly test: number; readonly seed: number }
  | { readonly by: 'time'; readonly testFrom: number };

/** The two parts of a split training set. */
export type SplitName = 'train' | 'test';

/**
 * Returns the split of a row. `ordinal` is its position in the spine, from 0; `key` is its join keys as one text; `at`
 * is its instant in milliseconds. Equal arguments give equal splits on every machine.
 */
export function splitOf(split: TrainingSplit, ordinal: number, key: string, at: number): SplitName {
  if (split.by === 'time') return at >= split.testFrom ? 'test' : 'train';
  const what = split.by === 'row' ? `${ordinal}` : key;
  const hash = createHash('md5').update(`${split.seed}|${what}`).digest().readUInt32BE(0) / 2 ** 32;
  return hash < split.test ? 'test' : 'train';
}
