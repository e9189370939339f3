/** Features of every type, with their values, for generated tests. */
import fc from 'fast-check';
import type { FeatureValue, ScalarType, ValueType } from '../../../src/definition/value-type.js';

export const scalars: Record<ScalarType, fc.Arbitrary<FeatureValue>> = {
  STRING: fc.string({ unit: 'grapheme', maxLength: 300 }),
  BOOL: fc.boolean(),
  INT32: fc.integer(),
  INT64: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  FLOAT64: fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (value === 0 ? 0 : value)),
  TIMESTAMP: fc.integer({ min: -62_135_596_800_000, max: 253_402_300_799_999 }),
};

const types = Object.keys(scalars) as ScalarType[];
const feature: fc.Arbitrary<{ type: ValueType; value: FeatureValue }> = fc.oneof(
  ...types.flatMap((type) => [
    fc.record({ type: fc.constant<ValueType>(type), value: fc.option(scalars[type], { freq: 5 }) }),
    fc.record({
      type: fc.constant<ValueType>(`${type}[]`),
      value: fc.option(fc.array(scalars[type], { maxLength: 20 }) as fc.Arbitrary<FeatureValue>, { freq: 5 }),
    }),
  ]),
);

/** Generates the features of a row. */
export const features = fc.array(feature, { maxLength: 40 });
