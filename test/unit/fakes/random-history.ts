/** Aggregations of every function over every type, and random events for them. */
import type { FeatureView } from '../../../src/definition/definition.js';
import type { FeatureValue, ValueType } from '../../../src/definition/value-type.js';
import type { SeededRandom } from './seeded-random.js';

export const everyColumn: readonly [name: string, type: ValueType][] = [
  ['double', 'FLOAT64'],
  ['small', 'INT32'],
  ['big', 'INT64'],
  ['text', 'STRING'],
  ['flag', 'BOOL'],
  ['moment', 'TIMESTAMP'],
];

const numbers = ['double', 'small', 'big'];
const ordered = [...numbers, 'text', 'moment'];
const scalars = [...ordered, 'flag'];

export const everyAggregation: NonNullable<FeatureView['aggregations']> = [
  { name: 'events', function: 'count', windows: ['5m', '1h', '12h', '24h', '30d'] },
  { name: 'half_hours', function: 'count', column: 'double', windows: ['90m'], hop: '30m' },
  ...(['sum', 'avg', 'variance', 'stddev'] as const).flatMap((name) =>
    numbers.map((column) => ({
      name: `${name}_${column}`.toLowerCase(),
      function: name,
      column,
      windows: ['1h', '3d', '30d'],
    })),
  ),
  ...(['min', 'max'] as const).flatMap((name) =>
    ordered.map((column) => ({ name: `${name}_${column}`, function: name, column, windows: ['1h', '24h'] })),
  ),
  ...(['first', 'last'] as const).flatMap((name) =>
    scalars.map((column) => ({ name: `${name}_${column}`, function: name, column, windows: ['1h', '12d'] })),
  ),
  ...scalars.map((column) => ({
    name: `recent_${column}`,
    function: 'lastN' as const,
    n: 3,
    column,
    windows: ['6h', '7d'],
  })),
  ...scalars.map((column) => ({
    name: `kinds_${column}`,
    function: 'countDistinct' as const,
    column,
    windows: ['6h', '7d'],
  })),
];

/** Instants at the edges of calendars: ends of years, leap days, clock changes, the epoch. */
const EDGES = [
  '1969-12-31T23:59:59.999Z',
  '1970-01-01T00:00:00Z',
  '2024-02-29T12:00:00Z',
  '2025-12-31T23:59:59.999Z',
  '2026-03-29T01:00:00Z',
  '2025-10-26T01:00:00Z',
].map((text) => Date.parse(text));

/** Returns a random instant at or near an edge, or of the last 90 days. */
export function randomInstant(random: SeededRandom, now: number): number {
  const edge = random.below(2) ? EDGES[random.below(EDGES.length)]! : now - random.below(90) * 86_400_000;
  return edge + random.below(3) - 1;
}

/** Returns a value whose sums are exact in any order, from a set that is small enough for repetitions. */
export function randomValue(random: SeededRandom, type: ValueType): FeatureValue {
  switch (type) {
    case 'FLOAT64':
      return (random.below(2_000) - 1_000) / 8;
    case 'INT32':
      return random.below(20) - 10;
    case 'INT64':
      return random.below(4) ? BigInt(random.below(100)) : 2n ** 62n + BigInt(random.below(5));
    case 'STRING':
      return ['', 'a', 'A', 'é', 'ﬀ', '😀', 'a b', '"x",{}', 'null'][random.below(9)]!;
    case 'BOOL':
      return random.below(2) === 0;
    default:
      return random.below(10) * 1_000 - 5_000 + random.below(3);
  }
}
