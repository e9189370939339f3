/**
 * The algebra of aggregations: a value becomes a state, states merge into one state, and a state gives a result.
 *
 * A state is a short list of parts, each of a value type. So a column of PostgreSQL, a packed value in Redis and JSON
 * can all hold it. A state whose first part is null is empty: no value went into it.
 *
 * Laws
 * 1. `merge` is associative and commutative, and an empty state is its identity. For doubles this holds up to rounding.
 * 2. However values are grouped, finalizing the merge of their prepared states gives the function over all values.
 * 3. Aggregators skip nulls. Without any value, counts are 0 and every other result is null.
 * 4. `first`, `last` and `lastN` order events by event time, then by order of arrival.
 */
import { type AggregateFunction, resultTypeOf } from '../definition/aggregate-function.js';
import { compareValues } from '../definition/value-order.js';
import type { FeatureValue, ScalarType, ScalarValue, ValueType } from '../definition/value-type.js';
import { countSketch, hashValue, mergeSketches } from './distinct-sketch.js';

/** A state of an aggregation: its parts, by position. */
export type State = readonly FeatureValue[];

/** When an event happened (`eventTime`, milliseconds since 1970 UTC) and the order of its arrival (`sequence`). */
export interface Occurrence {
  readonly eventTime: number;
  readonly sequence: number;
}

/** The three operations of one aggregate function on one column. */
export interface Aggregator {
  readonly resultType: ValueType;
  /** Types of the parts of a state. */
  readonly parts: readonly ValueType[];
  /** Returns the state of one event. A null value gives an empty state. */
  prepare(value: ScalarValue | null, occurrence: Occurrence): State;
  /** Returns the state of all events of `a` and `b`. */
  merge(a: State, b: State): State;
  /** Returns the result of the function over all events in the state. */
  finalize(state: State): FeatureValue;
}

/** What an aggregation computes. `type` is the type of its column, null if it counts events. `n` is for `lastN`. */
export interface AggregateOptions {
  readonly function: AggregateFunction;
  readonly type: ValueType | null;
  readonly n: number | null;
}

/** Returns the aggregator of a function over a column. */
export function createAggregator({ function: name, type, n }: AggregateOptions): Aggregator {
  const resultType = resultTypeOf(name, type);
  const scalar = type as ScalarType;
  switch (name) {
    case 'count':
      return withNulls({
        resultType,
        parts: ['FLOAT64'],
        prepare: (value) => [type === null || value !== null ? 1 : 0],
        combine: (a, b) => [num(a[0]) + num(b[0])],
        finalize: (state) => BigInt(num(state[0])),
        empty: 0n,
      });
    case 'sum':
      return type === 'FLOAT64' ? sumOfDoubles() : sumOfIntegers();
    case 'avg':
      return average(scalar);
    case 'min':
    case 'max': {
      const sign = name === 'min' ? 1 : -1;
      return withNulls({
        resultType,
        parts: [scalar],
        prepare: (value) => [value],
        combine: (a, b) => (compareValues(a[0] as ScalarValue, b[0] as ScalarValue) * sign <= 0 ? a : b),
        finalize: (state) => state[0]!,
      });
    }
    case 'first':
    case 'last': {
      const sign = name === 'first' ? 1 : -1;
      return withNulls({
        resultType,
        parts: [scalar, 'FLOAT64', 'FLOAT64'],
        prepare: (value, { eventTime, sequence }) =>
          value === null ? [null, null, null] : [value, eventTime, sequence],
        combine: (a, b) => ((num(a[1]) - num(b[1]) || num(a[2]) - num(b[2])) * sign <= 0 ? a : b),
        finalize: (state) => state[0]!,
      });
    }
    case 'lastN':
      return lastValues(scalar, n ?? 1);
    case 'variance':
      return moments((variance) => variance);
    case 'stddev':
      return moments(Math.sqrt);
    case 'countDistinct':
      return withNulls({
        resultType,
        parts: ['FLOAT64[]'],
        prepare: (value) => [value === null ? null : [hashValue(scalar, value)]],
        combine: (a, b) => [mergeSketches(a[0] as number[], b[0] as number[])],
        finalize: (state) => BigInt(countSketch(state[0] as number[])),
        empty: 0n,
      });
  }
}

const num = (value: FeatureValue | undefined): number => value as number;

/** Adds the rules that all aggregators share: how they merge and finalize an empty state (its first part is null). */
function withNulls(rules: {
  readonly resultType: ValueType;
  readonly parts: readonly ValueType[];
  readonly prepare: Aggregator['prepare'];
  readonly combine: Aggregator['merge'];
  readonly finalize: Aggregator['finalize'];
  readonly empty?: FeatureValue;
}): Aggregator {
  const { resultType, parts, prepare, combine, finalize, empty = null } = rules;
  const isEmpty = (state: State): boolean => (state[0] ?? null) === null;
  return {
    resultType,
    parts,
    prepare,
    merge: (a, b) => {
      if (isEmpty(a)) return b;
      return isEmpty(b) ? a : combine(a, b);
    },
    finalize: (state) => (isEmpty(state) ? empty : finalize(state)),
  };
}

function sumOfDoubles(): Aggregator {
  return withNulls({
    resultType: 'FLOAT64',
    parts: ['FLOAT64'],
    prepare: (value) => [value],
    combine: (a, b) => [num(a[0]) + num(b[0])],
    finalize: (state) => state[0]!,
  });
}

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);

/** A sum of integers is decimal text without a limit, because the sum of many INT64 can exceed INT64. */
function sumOfIntegers(): Aggregator {
  return withNulls({
    resultType: 'INT64',
    parts: ['STRING'],
    prepare: (value) => [value === null ? null : String(value)],
    combine: (a, b) => [String(BigInt(a[0] as string) + BigInt(b[0] as string))],
    finalize: (state) => {
      const sum = BigInt(state[0] as string);
      return sum > INT64_MAX || sum < INT64_MIN ? null : sum;
    },
  });
}

function average(type: ScalarType): Aggregator {
  const sum = type === 'FLOAT64' ? sumOfDoubles() : sumOfIntegers();
  return withNulls({
    resultType: 'FLOAT64',
    parts: [...sum.parts, 'FLOAT64'],
    prepare: (value, occurrence) => [...sum.prepare(value, occurrence), value === null ? null : 1],
    combine: (a, b) => [sum.merge(a, b)[0]!, num(a[1]) + num(b[1])],
    finalize: (state) => Number(state[0]) / num(state[1]),
  });
}

/**
 * Sample variance from count, sum and the sum of squared differences from the mean (Youngs and Cramer, 1971).
 * It merges them as PostgreSQL does in `float8_combine`. The variance of a single value is null.
 */
function moments(shown: (variance: number) => number): Aggregator {
  return withNulls({
    resultType: 'FLOAT64',
    parts: ['FLOAT64[]'],
    prepare: (value) => [value === null ? null : [1, Number(value), 0]],
    combine: (a, b) => {
      const [n1 = 0, sum1 = 0, squares1 = 0] = a[0] as number[];
      const [n2 = 0, sum2 = 0, squares2 = 0] = b[0] as number[];
      const n = n1 + n2;
      const difference = sum1 / n1 - sum2 / n2;
      return [[n, sum1 + sum2, squares1 + squares2 + (n1 * n2 * difference * difference) / n]];
    },
    finalize: (state) => {
      const [n = 0, , squares = 0] = state[0] as number[];
      return n < 2 ? null : shown(Math.max(0, squares) / (n - 1));
    },
  });
}

/** One of the last values. The value is text because a JSON number cannot hold every INT64. */
type Recent = readonly [eventTime: number, sequence: number, value: string];

function lastValues(type: ScalarType, n: number): Aggregator {
  const read = (state: State): Recent[] => JSON.parse(state[0] as string) as Recent[];
  return withNulls({
    resultType: `${type}[]`,
    parts: ['STRING'],
    prepare: (value, { eventTime, sequence }) => [
      value === null ? null : JSON.stringify([[eventTime, sequence, String(value)]]),
    ],
    combine: (a, b) => {
      const both = [...read(a), ...read(b)].sort((x, y) => y[0] - x[0] || y[1] - x[1]);
      return [JSON.stringify(both.slice(0, n))];
    },
    finalize: (state) => read(state).map(([, , text]) => parseText(type, text)),
  });
}

function parseText(type: ScalarType, text: string): ScalarValue {
  if (type === 'STRING') return text;
  if (type === 'BOOL') return text === 'true';
  return type === 'INT64' ? BigInt(text) : Number(text);
}
