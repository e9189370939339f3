/** Which rows of a training set are for training and which for testing: by a hash, or by time. */
import { createHash } from 'node:crypto';

/** A share of the rows (or of the combinations of join keys, so that none is in both) for testing, or all rows from an instant on. */
export type TrainingSplit =
  | { readonly by: 'row' | 'entity'; readonly test: number; readonly seed: number }
  | { readonly by: 'time'; readonly testFrom: number };

export type SplitName = 'train' | 'test';

/**
 * The split of a row. `ordinal`: its place in the spine, from 0; `key`: its join keys as one text; `at`: its instant in milliseconds.
 * Equal arguments give equal splits, on every machine.
 */
export function splitOf(split: TrainingSplit, ordinal: number, key: string, at: number): SplitName {
  if (split.by === 'time') return at >= split.testFrom ? 'test' : 'train';
  const what = split.by === 'row' ? `${ordinal}` : key;
  const hash = createHash('md5').update(`${split.seed}|${what}`).digest().readUInt32BE(0) / 2 ** 32;
  return hash < split.test ? 'test' : 'train';
}
