import { describe, expect, test } from '@jest/globals';
import { createAggregator, type State } from '../../../src/aggregation/aggregator.js';
import {
  countSketch,
  hashValue,
  mergeSketches,
  SKETCH_SIZE,
  sketchOf,
} from '../../../src/aggregation/distinct-sketch.js';
import { compareValues } from '../../../src/definition/value-order.js';
import type { ScalarValue } from '../../../src/definition/value-type.js';
import { everyAggregation, everyColumn, randomValue } from '../fakes/random-history.js';
import { seededRandom } from '../fakes/seeded-random.js';

const seed = Number(process.env.FSTORE_TEST_SEED ?? Date.now() % 1_000_000);

/** Numbers agree but for rounding, everything else exactly. */
function expectSame(actual: unknown, expected: unknown): void {
  if (typeof actual === 'number' && typeof expected === 'number') {
    expect(Math.abs(actual - expected)).toBeLessThanOrEqual(1e-9 * Math.max(1, Math.abs(expected)));
  } else expect(actual).toEqual(expected);
}

describe(`every aggregator (seed ${seed})`, () => {
  const types = new Map(everyColumn);
  const kinds = everyAggregation.map(({ function: name, column, n }) => {
    return { function: name, type: column === undefined ? null : types.get(column)!, n: n ?? null };
  });

  test.each(kinds)('$function of $type merges to the same in whatever order and grouping', (kind) => {
    const { prepare, merge, finalize, parts } = createAggregator(kind);
    const random = seededRandom(seed);
    for (let run = 0; run < 200; run += 1) {
      const states = Array.from({ length: 1 + random.below(12) }, (_, sequence): State => {
        const value =
          random.below(4) === 0 || kind.type === null ? null : (randomValue(random, kind.type) as ScalarValue);
        return prepare(value, { eventTime: random.below(5), sequence });
      });
      for (const state of states) expect(state).toHaveLength(parts.length);
      const inOrder = finalize(states.reduce(merge));
      random.shuffle(states);
      while (states.length > 1) {
        const [a, b] = states.splice(random.below(states.length - 1), 2) as [State, State];
        const copies = JSON.stringify([a, b], (_, one) => (typeof one === 'bigint' ? `${one}` : one));
        states.push(merge(a, b));
        expect(JSON.stringify([a, b], (_, one) => (typeof one === 'bigint' ? `${one}` : one))).toBe(copies);
      }
      expectSame(finalize(states[0]!), inOrder);
    }
  });

  test.each(kinds)('$function of $type says over nothing: a count 0, anything else null', (kind) => {
    const { finalize, parts } = createAggregator(kind);
    const expected = kind.function.startsWith('count') ? 0n : null;
    expect(finalize(parts.map(() => null))).toBe(expected);
  });
});

describe('a sum of integers', () => {
  const { prepare, merge, finalize } = createAggregator({ function: 'sum', type: 'INT64', n: null });
  const max = 2n ** 63n - 1n;
  const at = { eventTime: 0, sequence: 0 };

  test('is exact beyond 2^53', () => {
    expect(finalize(merge(prepare(2n ** 53n, at), prepare(1n, at)))).toBe(2n ** 53n + 1n);
  });

  test('beyond INT64 is null, and is right again when it comes back', () => {
    const beyond = merge(prepare(max, at), prepare(1n, at));
    expect(finalize(beyond)).toBeNull();
    expect(finalize(merge(beyond, prepare(-1n, at)))).toBe(max);
  });
});

describe('a distinct count', () => {
  const sketch = (count: number) =>
    sketchOf(Array.from({ length: count }, (_, index) => hashValue('STRING', `u${index}`)));

  test('is exact below the bound', () => {
    for (const count of [0, 1, 2, 100, SKETCH_SIZE - 1]) expect(countSketch(sketch(count))).toBe(count);
  });

  test('beyond it is within four standard errors of 4.4 %', () => {
    for (const count of [1_000, 10_000, 200_000]) {
      expect(Math.abs(countSketch(sketch(count)) / count - 1)).toBeLessThan(4 * 0.044);
    }
  });

  test('of two halves that overlap is that of the whole', () => {
    const hashes = Array.from({ length: 3_000 }, (_, index) => hashValue('INT64', BigInt(index)));
    expect(mergeSketches(sketchOf(hashes.slice(0, 2_000)), sketchOf(hashes.slice(1_000)))).toEqual(sketchOf(hashes));
  });
});

test('strings are ordered by their UTF-8 bytes', () => {
  const texts = ['', 'a', 'Z', 'é', '\uE000', '\uFFFD', '😀', '\u{10FFFF}', 'a\u{1F600}', 'a\uFFFD'];
  const byBytes = [...texts].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  expect([...texts].sort(compareValues)).toEqual(byBytes);
});
