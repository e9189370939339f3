import { describe, expect, test } from '@jest/globals';
import { aggregationPlan, type TileSet } from '../../src/aggregation/tile-set.js';
import type { ScalarValue } from '../../src/definition/value-type.js';
import { TileCodec } from '../../src/store/tile-codec.js';
import { isNewer } from '../../src/store/value-codec.js';
import { everyAggregation, everyColumn, randomValue } from './fakes/random-history.js';
import { seededRandom } from './fakes/seeded-random.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);
const types = new Map(everyColumn);
const aggregation = {
  aggregates: everyAggregation.map(({ function: name, column, n }) => {
    return { function: name, column: column ?? null, type: column ? types.get(column)! : null, n: n ?? null };
  }),
  features: everyAggregation.map((_, aggregate) => ({
    aggregate,
    length: 3_600_000,
    hop: aggregate % 2 ? 300_000 : 60_000,
  })),
};
const codec = new TileCodec({ fingerprint: '0123456789abcdef', aggregation });

function randomTiles(random: ReturnType<typeof seededRandom>): TileSet {
  const { aggregators, hops } = aggregationPlan(aggregation);
  const tiles = Array.from({ length: random.below(20) }, (_, sequence) => ({
    hop: hops[random.below(hops.length)]!.hop,
    start: (random.below(1_000) - 500) * 300_000,
    states: aggregators.map((one, index) => {
      const { type } = aggregation.aggregates[index]!;
      const value = type === null || random.below(3) === 0 ? null : (randomValue(random, type) as ScalarValue);
      return one.prepare(value, { eventTime: random.below(1_000), sequence });
    }),
  }));
  return { version: random.below(1_000), eventTime: random.below(1_000_000), tiles };
}

describe(`packed tiles (seed ${seed})`, () => {
  const random = seededRandom(seed);

  test('unpack to what was packed, for the states of every function', () => {
    for (let run = 0; run < 200; run += 1) {
      const tiles = randomTiles(random);
      expect(codec.decode(codec.encode(tiles))).toEqual(tiles);
    }
  });

  test('that were cut short or belong to another view unpack to nothing, and nothing throws', () => {
    const other = new TileCodec({ fingerprint: 'ffffffffffffffff', aggregation });
    for (let run = 0; run < 200; run += 1) {
      const bytes = codec.encode(randomTiles(random));
      expect(other.decode(bytes)).toBeNull();
      expect(codec.decode(bytes.subarray(0, random.below(bytes.length)))).toBeNull();
    }
  });

  test('are newer by their version alone', () => {
    const tiles = randomTiles(random);
    const [older, newer] = [7, 8].map((version) => codec.encode({ ...tiles, version }));
    expect([isNewer(newer!, older!), isNewer(older!, newer!), isNewer(older!, older!)]).toEqual([true, false, false]);
  });
});
