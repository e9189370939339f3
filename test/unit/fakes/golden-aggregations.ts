/** The golden vectors of aggregations, which TypeScript, SQL and Spark all read. */
import { readdirSync, readFileSync } from 'node:fs';
import { type AggregateFunction, resultTypeOf } from '../../../src/definition/aggregate-function.js';
import { type FeatureValue, readValue, type ScalarValue, type ValueType } from '../../../src/definition/value-type.js';
import type { Window } from '../../../src/definition/window.js';

const FOLDER = new URL('../../golden/aggregation/', import.meta.url);

/** One golden vector: events, a window, and the expected value. */
export interface GoldenCase {
  readonly function: AggregateFunction;
  readonly type: ValueType | null;
  readonly n: number | null;
  readonly window: Window;
  readonly at: number;
  readonly events: readonly { eventTime: number; sequence: number; value: ScalarValue | null }[];
  readonly expected: FeatureValue;
}

interface WrittenCase extends Omit<GoldenCase, 'events' | 'expected'> {
  readonly events: readonly [number, number, unknown][];
  readonly expected: unknown;
}

function read(type: ValueType, json: unknown): FeatureValue {
  const value = readValue(type, json);
  if (!value.ok) throw new Error(value.reason);
  return value.value;
}

/** Returns all golden vectors. */
export function goldenAggregations(): GoldenCase[] {
  return readdirSync(FOLDER).flatMap((file) => {
    const { function: name, cases } = JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as {
      function: AggregateFunction;
      cases: WrittenCase[];
    };
    return cases.map((one) => ({
      ...one,
      function: name,
      events: one.events.map(([eventTime, sequence, value]) => {
        return { eventTime, sequence, value: one.type ? (read(one.type, value) as ScalarValue | null) : null };
      }),
      expected: read(resultTypeOf(name, one.type), one.expected),
    }));
  });
}
