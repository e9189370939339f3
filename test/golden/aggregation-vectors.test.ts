import { expect, test } from '@jest/globals';
import { createAggregator } from '../../src/aggregation/aggregator.js';
import { aggregationPlan, finishValues, type Tile } from '../../src/aggregation/tile-set.js';
import { AGGREGATE_FUNCTIONS } from '../../src/definition/aggregate-function.js';
import { tileStart } from '../../src/definition/window.js';
import { type GoldenCase, goldenAggregations } from '../unit/fakes/golden-aggregations.js';

const cases = goldenAggregations();

function meaningOf({ function: name, type, n, window }: GoldenCase) {
  return {
    aggregates: [{ function: name, column: type && 'value', type, n }],
    features: [{ aggregate: 0, ...window }],
  };
}

test('golden vectors cover every function, empty and full windows, and events that have left', () => {
  expect(new Set(cases.map((one) => one.function))).toEqual(new Set(AGGREGATE_FUNCTIONS));
  expect(cases.length).toBeGreaterThan(200);
  expect(cases.filter(({ expected }) => expected !== null && expected !== 0n).length).toBeGreaterThan(100);
});

test('TypeScript gives what the golden vectors say, from tiles', () => {
  for (const one of cases) {
    const { prepare, merge } = createAggregator(one);
    const tiles = new Map<number, Tile>();
    for (const { value, ...occurrence } of one.events) {
      // A tile may hold only what is visible.
      if (occurrence.eventTime > one.at) continue;
      const start = tileStart(occurrence.eventTime, one.window.hop);
      const state = prepare(value, occurrence);
      const known = tiles.get(start)?.states[0];
      tiles.set(start, { hop: one.window.hop, start, states: [known ? merge(known, state) : state] });
    }
    const [value] = finishValues(aggregationPlan(meaningOf(one)), [...tiles.values()], one.at).values;
    if (typeof one.expected === 'number') expect(Number(value) / (one.expected || 1)).toBeCloseTo(one.expected && 1, 9);
    else expect(value).toEqual(one.expected);
  }
});
