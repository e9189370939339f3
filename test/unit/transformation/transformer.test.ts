import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { z } from 'zod';
import { type TransformerOptions, transformerOptionsSchema } from '../../../src/definition/transformer-options.js';
import type { FeatureValue, ValueType } from '../../../src/definition/value-type.js';
import { FStoreError } from '../../../src/errors.js';
import { createFitter } from '../../../src/transformation/fitter.js';
import { createTransformer } from '../../../src/transformation/transformer.js';
import { describeOutputs, needsFitting } from '../../../src/transformation/transformer-output.js';

/** The transformer of `options` fitted on `train`, with its parameters taken through JSON as a registry does. */
function fitted(options: TransformerOptions, type: ValueType, train: readonly FeatureValue[]) {
  const fitter = createFitter(options, type);
  for (const value of train) fitter.add(value);
  const transformer = createTransformer(options, JSON.parse(JSON.stringify(fitter.fit())), type);
  return { parameters: fitter.fit(), apply: (value: FeatureValue) => transformer.apply(value)[0] };
}

const finite = fc.double({ min: -1e6, max: 1e6, noNaN: true });

describe('a fitted transformer', () => {
  type Case = [TransformerOptions, ValueType, FeatureValue[], FeatureValue[], FeatureValue[]];
  const cases: Case[] = [
    [{ type: 'standard' }, 'FLOAT64', [1, null, 3], [1, 2, 3, null], [-1, 0, 1, null]],
    [{ type: 'standard' }, 'INT64', [1n, 3n], [5n], [3]],
    [{ type: 'standard' }, 'FLOAT64', [0.1, 0.1, 0.1], [0.1, 5.1], [0, 5]],
    [{ type: 'standard' }, 'FLOAT64', [null], [7, null], [7, null]],
    [{ type: 'standard' }, 'FLOAT64', [-1.7e308, 1.7e308], [7], [7]],
    [{ type: 'minMax' }, 'FLOAT64', [2, 6, null], [2, 4, 6, 8, null], [0, 0.5, 1, 1.5, null]],
    [{ type: 'minMax' }, 'INT32', [5, 5], [5, 8], [0, 3]],
    [{ type: 'minMax' }, 'FLOAT64', [], [5], [5]],
    [{ type: 'minMax' }, 'FLOAT64', [-1.7e308, 1.7e308], [-1.7e308, 0, 1.7e308], [0, 0.5, 1]],
    [{ type: 'robust' }, 'FLOAT64', [1, 2, 3, 4, 100], [3, 5, null], [0, 1, null]],
    [{ type: 'robust' }, 'FLOAT64', [4, 4, 4, 9], [4, 9], [0, 4]],
    [{ type: 'robust' }, 'FLOAT64', [4, 4, 4, 4, 9], [4, 9], [0, 5]],
    [{ type: 'robust' }, 'FLOAT64', [], [4], [4]],
    [{ type: 'label' }, 'STRING', ['b', 'a', null, 'b'], ['a', 'b', 'c', null], [0, 1, -1, null]],
    [{ type: 'label' }, 'STRING', ['😀', '\uff5e', 'Z', 'a'], ['Z', 'a', '\uff5e', '😀'], [0, 1, 2, 3]],
    [{ type: 'label' }, 'INT64', [10n, 9n, 2n ** 60n], [9n, 10n, 2n ** 60n, 1n], [0, 1, 2, -1]],
    [{ type: 'label' }, 'BOOL', [true, false], [false, true], [0, 1]],
    [{ type: 'label' }, 'INT32', [], [1, null], [-1, null]],
    [
      { type: 'oneHot' },
      'STRING',
      ['b', 'a'],
      ['a', 'b', 'c', null],
      [
        [1, 0],
        [0, 1],
        [0, 0],
        [0, 0],
      ],
    ],
    [{ type: 'oneHot' }, 'STRING', [], ['a'], [[]]],
    [
      { type: 'bucketizer', edges: [0, 10] },
      'FLOAT64',
      [],
      [-1e300, -1, 0, 9.9, 10, 1e300, null],
      [0, 0, 1, 1, 2, 2, null],
    ],
    [
      { type: 'bucketizer', buckets: 4 },
      'INT32',
      [1, 2, 3, 4, 5],
      [0, 1, 2, 3, 4, 5, 9, null],
      [0, 0, 1, 2, 3, 3, 3, null],
    ],
    [{ type: 'bucketizer', buckets: 4 }, 'INT32', [5, 5, 5], [4, 5, 6], [0, 1, 1]],
    [{ type: 'bucketizer', buckets: 4 }, 'INT32', [null], [4], [0]],
    [{ type: 'imputer', strategy: 'mean' }, 'INT32', [1, 2, null], [null, 7], [1.5, 7]],
    [{ type: 'imputer', strategy: 'mean' }, 'INT64', [1n, 2n], [null, 7n], [1.5, 7]],
    [{ type: 'imputer', strategy: 'mean' }, 'FLOAT64', [null], [null, 7], [null, 7]],
    [{ type: 'imputer', strategy: 'median' }, 'FLOAT64', [9, 1, 2, null], [null], [2]],
    [
      { type: 'imputer', strategy: 'most_frequent' },
      'STRING',
      ['b', 'a', 'b', null, null, null],
      [null, 'c'],
      ['b', 'c'],
    ],
    [{ type: 'imputer', strategy: 'most_frequent' }, 'STRING', ['b', 'a'], [null], ['a']],
    [{ type: 'imputer', strategy: 'most_frequent' }, 'INT64', [2n ** 60n], [null], [2n ** 60n]],
    [{ type: 'imputer', strategy: 'most_frequent' }, 'TIMESTAMP', [5, 5, 6], [null], [5]],
    [{ type: 'imputer', strategy: 'most_frequent' }, 'BOOL', [], [null], [null]],
    [
      { type: 'imputer', strategy: 'constant', value: '9007199254740993' },
      'INT64',
      [],
      [null, 1n],
      [2n ** 53n + 1n, 1n],
    ],
    [{ type: 'imputer', strategy: 'constant', value: '1970-01-01T00:00:01Z' }, 'TIMESTAMP', [], [null], [1000]],
    [{ type: 'imputer', strategy: 'constant', value: false }, 'BOOL', [], [null, true], [false, true]],
    [{ type: 'log' }, 'FLOAT64', [], [0, Math.E - 1, -1, -2, null], [0, 1, null, null, null]],
    [{ type: 'log' }, 'INT64', [], [0n], [0]],
    [{ type: 'clip', min: 0, max: 10 }, 'INT32', [], [-5, 5, 15, null], [0, 5, 10, null]],
    [{ type: 'clip', min: 0 }, 'FLOAT64', [], [-5, 1e300], [0, 1e300]],
    [{ type: 'clip', quantiles: [0.25, 0.75] }, 'FLOAT64', [1, 2, 3, 4, 5], [0, 3, 9, null], [2, 3, 4, null]],
    [{ type: 'clip', quantiles: [0.25, 0.75] }, 'FLOAT64', [], [-9], [-9]],
  ];
  test.each(cases)('%j on %s fitted on %p maps %p to %p', (options, type, train, values, outputs) => {
    const { apply } = fitted(transformerOptionsSchema.parse(options), type, train);
    values.forEach((value, index) => {
      const output = outputs[index] as FeatureValue;
      if (typeof output === 'number' && !Number.isInteger(output)) expect(apply(value)).toBeCloseTo(output, 12);
      else expect(apply(value)).toEqual(output);
    });
  });

  test('minMax maps the train split into 0 to 1', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ noNaN: true, noDefaultInfinity: true }), { minLength: 2 }), (train) => {
        fc.pre(new Set(train.map((value) => value + 0)).size > 1);
        const { apply } = fitted({ type: 'minMax' }, 'FLOAT64', train);
        const outputs = train.map(apply) as number[];
        expect(Math.min(...outputs)).toBe(0);
        expect(Math.max(...outputs)).toBe(1);
      }),
    );
  });

  test('standard gives the train split mean 0 and standard deviation 1', () => {
    fc.assert(
      fc.property(fc.array(finite, { minLength: 2, maxLength: 200 }), (train) => {
        fc.pre(Math.max(...train) - Math.min(...train) > 1e-3);
        const { apply } = fitted({ type: 'standard' }, 'FLOAT64', train);
        const outputs = train.map(apply) as number[];
        const mean = outputs.reduce((sum, value) => sum + value, 0) / outputs.length;
        const variance = outputs.reduce((sum, value) => sum + (value - mean) ** 2, 0) / outputs.length;
        const size = Math.max(...train.map(Math.abs)) / (Math.max(...train) - Math.min(...train));
        expect(Math.abs(mean)).toBeLessThan(1e-9 * Math.max(1, size));
        expect(Math.abs(Math.sqrt(variance) - 1)).toBeLessThan(1e-9);
      }),
    );
  });

  test('label and oneHot agree with sorting by UTF-8 bytes', () => {
    const text = fc.string({ unit: 'binary', maxLength: 4 }).map((one) => one.replaceAll('\u0000', ''));
    fc.assert(
      fc.property(fc.array(text), text, (train, other) => {
        const sorted = [...new Set(train)].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
        const label = fitted({ type: 'label' }, 'STRING', train);
        const oneHot = fitted({ type: 'oneHot' }, 'STRING', train);
        for (const value of [...train, other]) {
          const place = sorted.indexOf(value);
          expect(label.apply(value)).toBe(place);
          expect(oneHot.apply(value)).toEqual(sorted.map((_, index) => (index === place ? 1 : 0)));
        }
      }),
    );
  });

  test('bucketizer agrees with counting edges, and quantile parameters do not depend on the order', () => {
    fc.assert(
      fc.property(
        fc.array(finite, { minLength: 1 }),
        fc.integer({ min: 2, max: 9 }),
        finite,
        (train, buckets, value) => {
          const { parameters, apply } = fitted({ type: 'bucketizer', buckets }, 'FLOAT64', train);
          expect(fitted({ type: 'bucketizer', buckets }, 'FLOAT64', [...train].reverse()).parameters).toEqual(
            parameters,
          );
          const { edges } = parameters as { edges: number[] };
          expect(apply(value)).toBe(edges.filter((edge) => edge <= value).length);
        },
      ),
    );
  });

  // numpy.percentile([3, 1, 4, 1, 5, 9, 2, 6], [25, 50, 75]) is [1.75, 3.5, 5.25].
  test('robust takes the percentiles of numpy', () => {
    const { parameters } = fitted({ type: 'robust' }, 'INT32', [3, 1, 4, 1, 5, 9, 2, 6]);
    expect(parameters).toEqual({ type: 'robust', version: 1, lower: 1.75, median: 3.5, upper: 5.25 });
  });

  test('standard stays exact for large numbers that differ little', () => {
    const { parameters } = fitted({ type: 'standard' }, 'FLOAT64', [1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16]);
    expect(parameters).toEqual({ type: 'standard', version: 1, mean: 1e9 + 10, deviation: Math.sqrt(22.5) });
  });
});

describe('a transformer on a column it does not take', () => {
  const cases: [TransformerOptions, ValueType, RegExp][] = [
    [{ type: 'standard' }, 'STRING', /^amount: standard takes INT32, INT64, FLOAT64, not STRING; use label/],
    [{ type: 'minMax' }, 'TIMESTAMP', /on-demand expression/],
    [{ type: 'robust' }, 'FLOAT64[]', /not a list/],
    [{ type: 'label' }, 'FLOAT64', /use bucketizer/],
    [{ type: 'oneHot' }, 'TIMESTAMP', /not TIMESTAMP/],
    [{ type: 'imputer', strategy: 'mean' }, 'BOOL', /the mean needs numbers.*most_frequent/],
    [{ type: 'imputer', strategy: 'constant', value: 'x' }, 'INT32', /constant of the imputer is no INT32/],
  ];
  test.each(cases)('%j on %s says why and names the field', (options, type, message) => {
    for (const work of [createFitter, describeOutputs]) {
      expect(() => work(options, type, 'amount')).toThrow(message);
      expect(() => work(options, type, 'amount')).toThrow(
        expect.objectContaining({ code: 'DEFINITION_INVALID', location: { field: 'amount' } }),
      );
    }
  });

  test('that has too many categories teaches what to do', () => {
    const fitter = createFitter({ type: 'label' }, 'INT32', 'merchant');
    for (let value = 0; value < 10_000; value++) fitter.add(value);
    fitter.add(0);
    expect(() => fitter.add(10_000)).toThrow(/^merchant: the column has more than 10000 distinct values; group/);
  });

  test('that has too many values for quantiles teaches what to do', () => {
    const fitter = createFitter({ type: 'robust' }, 'FLOAT64', 'amount');
    for (let value = 0; value < 10_000_000; value++) fitter.add(value);
    expect(() => fitter.add(0)).toThrow(/^amount: quantiles are fitted on at most 10000000 values; train on a sample/);
    expect(fitter.fit()).toMatchObject({ median: 4_999_999.5 });
  });
});

describe('parameters', () => {
  const cases: [TransformerOptions, object][] = [
    [{ type: 'standard' }, { type: 'minMax', version: 1, min: 0, max: 1 }],
    [{ type: 'standard' }, { type: 'standard', version: 2, mean: 0, deviation: 1 }],
    [{ type: 'label' }, { type: 'label', version: 1, categories: ['x'] }],
    [
      { type: 'imputer', strategy: 'constant', value: 1 },
      { type: 'imputer', version: 1, value: 'x' },
    ],
  ];
  test.each(cases)('of %j that are %j are refused', (options, parameters) => {
    expect(() => createTransformer(options, parameters as never, 'INT64')).toThrow(FStoreError);
    expect(() => createTransformer(options, parameters as never, 'INT64')).toThrow(/fit it again/);
  });
});

describe('the options of a transformer', () => {
  const bad: object[] = [
    { type: 'scale' },
    { type: 'standard', ddof: 1 },
    { type: 'bucketizer' },
    { type: 'bucketizer', edges: [1], buckets: 2 },
    { type: 'bucketizer', edges: [1, 1] },
    { type: 'bucketizer', buckets: 1 },
    { type: 'imputer', strategy: 'constant' },
    { type: 'imputer', strategy: 'mean', value: 1 },
    { type: 'clip' },
    { type: 'clip', min: 2, max: 1 },
    { type: 'clip', min: 2, quantiles: [0, 1] },
    { type: 'clip', quantiles: [0.5, 0.5] },
  ];
  test.each(bad)('%j are refused', (options) => {
    expect(transformerOptionsSchema.safeParse(options).success).toBe(false);
  });

  test('have a JSON Schema', () => {
    expect(z.toJSONSchema(transformerOptionsSchema, { io: 'input' })).toMatchObject({ oneOf: expect.any(Array) });
  });

  const outputs: [TransformerOptions, ValueType, ValueType, boolean][] = [
    [{ type: 'standard' }, 'INT32', 'FLOAT64', true],
    [{ type: 'label' }, 'STRING', 'INT32', true],
    [{ type: 'oneHot' }, 'STRING', 'FLOAT64[]', true],
    [{ type: 'bucketizer', edges: [1] }, 'FLOAT64', 'INT32', false],
    [{ type: 'bucketizer', buckets: 2 }, 'FLOAT64', 'INT32', true],
    [{ type: 'imputer', strategy: 'median' }, 'INT64', 'FLOAT64', true],
    [{ type: 'imputer', strategy: 'most_frequent' }, 'STRING', 'STRING', true],
    [{ type: 'imputer', strategy: 'constant', value: 0 }, 'INT64', 'INT64', false],
    [{ type: 'log' }, 'INT32', 'FLOAT64', false],
    [{ type: 'clip', quantiles: [0, 1] }, 'INT32', 'FLOAT64', true],
    [{ type: 'clip', max: 1 }, 'INT32', 'FLOAT64', false],
  ];
  test.each(outputs)('%j on %s make %s; they need fitting: %s', (options, input, type, fitting) => {
    expect(describeOutputs(options, input)).toEqual([{ suffix: null, type }]);
    expect(needsFitting(options)).toBe(fitting);
  });
});
