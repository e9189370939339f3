/** What a source may read in batches, and what it is told to write instead. */
import { describe, expect, test } from '@jest/globals';
import { sourceSchema } from '../../src/definition/definition.js';
import { resolveSourceMeaning } from '../../src/definition/meaning.js';

const source = (batch: Record<string, unknown>) => ({
  kind: 'source',
  name: 'payments',
  schema: { user_id: 'STRING', at: 'TIMESTAMP' },
  timestamp: 'at',
  batch,
});
const refusals = (batch: Record<string, unknown>) =>
  (sourceSchema.safeParse(source(batch)).error?.issues ?? []).map(
    ({ path, message }) => `${path.join('.')}: ${message}`,
  );

describe('a batch', () => {
  test.each([
    [{ orc: 'a.orc' }, 'batch.orc', 'engine: spark'],
    [{ csv: 'a/' }, 'batch.csv', 'a folder is read by Spark: add `engine: spark`'],
    [{ parquet: 's3a://bucket/a' }, 'batch.parquet', 'an address is read by Spark'],
    [{ jdbc: { connection: 'x', table: 'a' } }, 'batch.jdbc', 'engine: spark'],
    [{ table: 'a', partitionBy: 'id' }, 'batch.partitionBy', 'engine: spark'],
    [{ engine: 'spark', arrow: 'a.arrow' }, 'batch.arrow', 'Spark reads no Arrow'],
    [{ engine: 'spark', csv: 'file:///etc/passwd' }, 'batch.csv', 'FSTORE_BATCH_FOLDER'],
    [{ engine: 'spark', csv: 'a.csv', partitionBy: 'id' }, 'batch.partitionBy', 'in parts by themselves'],
    [{ engine: 'spark', jdbc: { connection: 'x', table: 'a' }, partitionBy: 'id' }, 'batch.partitionBy', 'within jdbc'],
    [{ engine: 'spark', table: 'a', partitions: 4 }, 'batch.partitions', 'partitionBy'],
    [{ engine: 'spark', jdbc: { connection: 'x', table: 'a', partitions: 4 } }, 'batch.jdbc.partitions', 'partitionBy'],
    [{ engine: 'spark', jdbc: { connection: 'x' } }, 'batch.jdbc', 'one of table, query'],
    [{ engine: 'spark', jdbc: { connection: 'X-1', table: 'a' } }, 'batch.jdbc.connection', 'snake_case|lower case'],
    [{ engine: 'flink', csv: 'a.csv' }, 'batch.engine', ''],
  ])('%j is refused', (batch, path, message) => {
    expect(refusals(batch)).toEqual([expect.stringMatching(new RegExp(`^${path}: .*(?:${message})`))]);
  });

  test('of every kind is taken with the words that it needs', () => {
    for (const batch of [
      { engine: 'spark', orc: 'a.orc' },
      { engine: 'spark', parquet: 's3a://bucket/a/' },
      { engine: 'spark', csv: 'a/' },
      { engine: 'spark', table: 'a', partitionBy: 'id', partitions: 4 },
      { engine: 'spark', jdbc: { connection: 'x', query: 'SELECT 1', partitionBy: 'id' } },
      { engine: 'builtin', csv: 'a.csv' },
    ]) {
      expect(refusals(batch)).toEqual([]);
    }
  });

  test('means the same whichever engine reads it, and in however many parts', () => {
    const meaning = (batch: Record<string, unknown>) => resolveSourceMeaning(sourceSchema.parse(source(batch))).meaning;
    expect(meaning({ engine: 'spark', table: 'a', partitionBy: 'id' })).toEqual(meaning({ table: 'a' }));
    expect(meaning({ engine: 'spark', parquet: 'a' })).toEqual(meaning({ parquet: 'a' }));
  });
});
