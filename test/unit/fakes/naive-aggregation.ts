/**
 * The oracle of aggregations: computes a window's value directly from its definition, without states, tiles or merges.
 */
import type { AggregationMeaning } from '../../../src/definition/definition-record.js';
import type { FeatureValue, ScalarValue } from '../../../src/definition/value-type.js';

/** An event to aggregate. */
export interface NaiveEvent {
  readonly eventTime: number;
  readonly sequence: number;
  /** Values by column. */
  readonly values: Readonly<Record<string, ScalarValue | null>>;
}

/** Returns the value of each feature at instant `at`, or just before it. */
export function naiveValues(
  { aggregates, features }: AggregationMeaning,
  events: readonly NaiveEvent[],
  at: number,
  before = false,
): FeatureValue[] {
  return features.map(({ aggregate, length, hop }) => {
    const { function: name, column, type, n } = aggregates[aggregate]!;
    const from = Math.floor((at - length) / hop) * hop;
    const covered = events
      .filter(({ eventTime }) => eventTime >= from && (before ? eventTime < at : eventTime <= at))
      .sort((a, b) => a.eventTime - b.eventTime || a.sequence - b.sequence);
    if (column === null) return BigInt(covered.length);
    const values = covered.map((event) => event.values[column] ?? null).filter((value) => value !== null);
    const bytes = [...values].sort((a, b) =>
      typeof a === 'string' ? Buffer.compare(Buffer.from(a), Buffer.from(b as string)) : a < b ? -1 : a > b ? 1 : 0,
    );
    const total =
      type === 'INT32' || type === 'INT64'
        ? Number(values.reduce<bigint>((sum, value) => sum + BigInt(value as bigint), 0n))
        : values.reduce<number>((sum, value) => sum + Number(value), 0);
    const mean = total / values.length;
    const squares = values.reduce<number>((sum, value) => sum + (Number(value) - mean) ** 2, 0);
    const variance = values.length < 2 ? null : squares / (values.length - 1);
    switch (name) {
      case 'count':
        return BigInt(values.length);
      case 'countDistinct':
        return BigInt(new Set(values).size);
      case 'sum': {
        if (values.length === 0) return null;
        if (type === 'FLOAT64') return total;
        const sum = values.reduce<bigint>((all, value) => all + BigInt(value as bigint), 0n);
        return BigInt.asIntN(64, sum) === sum ? sum : null;
      }
      case 'avg':
        return values.length === 0 ? null : mean;
      case 'min':
        return bytes[0] ?? null;
      case 'max':
        return bytes.at(-1) ?? null;
      case 'first':
        return values[0] ?? null;
      case 'last':
        return values.at(-1) ?? null;
      case 'lastN':
        return values.length === 0 ? null : values.reverse().slice(0, n ?? 1);
      case 'variance':
        return variance;
      default:
        return variance === null ? null : Math.sqrt(variance);
    }
  });
}
