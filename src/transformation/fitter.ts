/**
 * Fits transformers on training rows, one value at a time.
 *
 * Invariants
 * 1. Only values passed to `add` count, and nulls never do.
 * 2. Memory is bounded: constant for means and extremes, MAX_QUANTILE_VALUES numbers, MAX_CATEGORIES distinct values.
 * 3. The parameters do not depend on the order of values, except for the last bits of mean and standard deviation.
 */

import type { FittedParameters, TransformerOptions } from '../definition/transformer-options.js';
import type { FeatureValue, ScalarType, ScalarValue, ValueType } from '../definition/value-type.js';
import { Categories, categoryToJson } from './categories.js';
import { Moments } from './moments.js';
import { Quantiles } from './quantiles.js';
import { checkInput, constantOf } from './transformer-output.js';

/** Takes the values of the train split through `add`, and then returns the parameters from `fit`. */
export interface Fitter {
  /** Adds a value. Throws DEFINITION_INVALID if the column exceeds the bounds of the transformer. */
  add(value: FeatureValue): void;
  /** Returns the parameters for all added values. */
  fit(): FittedParameters;
}

type OptionsOf<Type extends TransformerOptions['type']> = Extract<TransformerOptions, { type: Type }>;

const FEWER_CATEGORIES = 'group the rare ones in an expression, or use bucketizer for numbers';

/**
 * Returns a fitter of `options` for a column of `inputType`.
 * Throws DEFINITION_INVALID, which names `field`, if the transformer does not accept that type.
 */
export function createFitter(options: TransformerOptions, inputType: ValueType, field = 'transformer'): Fitter {
  const type = checkInput(options, inputType, field);
  switch (options.type) {
    case 'standard':
      return fitStandard();
    case 'minMax':
      return fitMinMax();
    case 'robust':
      return fitRobust(field);
    case 'label':
    case 'oneHot':
      return fitCategories(options.type, field);
    case 'log':
      return fitNothing({ type: 'log', version: 1 });
    case 'bucketizer':
      return fitBucketizer(options, field);
    case 'clip':
      return fitClip(options, field);
    case 'imputer':
      return fitImputer(options, type, field);
  }
}

/** Returns a fitter that passes every value except null to `take`. */
function fitter(take: (value: ScalarValue) => void, fit: () => FittedParameters): Fitter {
  return {
    add(value) {
      if (value !== null) take(value as ScalarValue);
    },
    fit,
  };
}

/** Returns a fitter for numbers. INT64 becomes the nearest double. */
function numericFitter(take: (value: number) => void, fit: () => FittedParameters): Fitter {
  return fitter((value) => take(Number(value)), fit);
}

function fitNothing(parameters: FittedParameters): Fitter {
  return { add() {}, fit: () => parameters };
}

function fitStandard(): Fitter {
  const moments = new Moments();
  return numericFitter(
    (value) => moments.add(value),
    () => ({ type: 'standard', version: 1, mean: moments.mean(), deviation: moments.deviation() }),
  );
}

function fitMinMax(): Fitter {
  let min: number | null = null;
  let max: number | null = null;
  return numericFitter(
    (value) => {
      if (min === null || value < min) min = value;
      if (max === null || value > max) max = value;
    },
    () => ({ type: 'minMax', version: 1, min, max }),
  );
}

function fitRobust(field: string): Fitter {
  const quantiles = new Quantiles(field);
  return numericFitter(
    (value) => quantiles.add(value),
    () => {
      const [lower = null, median = null, upper = null] = quantiles.at([0.25, 0.5, 0.75]);
      return { type: 'robust', version: 1, lower, median, upper };
    },
  );
}

function fitCategories(type: 'label' | 'oneHot', field: string): Fitter {
  const categories = new Categories(field, FEWER_CATEGORIES);
  return fitter(
    (value) => categories.add(value),
    () => ({ type, version: 1, categories: categories.sorted().map(categoryToJson) }),
  );
}

/** Uses the declared edges, or the quantiles that cut the rows into equal parts. Equal edges count once. */
function fitBucketizer(options: OptionsOf<'bucketizer'>, field: string): Fitter {
  const { buckets = 2 } = options;
  if (options.edges) return fitNothing({ type: 'bucketizer', version: 1, edges: options.edges });
  const quantiles = new Quantiles(field);
  return numericFitter(
    (value) => quantiles.add(value),
    () => {
      const levels = Array.from({ length: buckets - 1 }, (_, index) => (index + 1) / buckets);
      const edges = quantiles.at(levels).filter((edge): edge is number => edge !== null);
      return { type: 'bucketizer', version: 1, edges: [...new Set(edges)] };
    },
  );
}

function fitClip(options: OptionsOf<'clip'>, field: string): Fitter {
  const { min = null, max = null, quantiles: levels } = options;
  if (!levels) return fitNothing({ type: 'clip', version: 1, min, max });
  const quantiles = new Quantiles(field);
  return numericFitter(
    (value) => quantiles.add(value),
    () => {
      const [lower = null, upper = null] = quantiles.at(levels);
      return { type: 'clip', version: 1, min: lower, max: upper };
    },
  );
}

function fitImputer(options: OptionsOf<'imputer'>, type: ScalarType, field: string): Fitter {
  const imputer = (value: ScalarValue | null): FittedParameters => ({
    type: 'imputer',
    version: 1,
    value: value === null ? null : categoryToJson(value),
  });
  switch (options.strategy) {
    case 'constant':
      return fitNothing(imputer(constantOf(options.value, type, field)));
    case 'mean': {
      const moments = new Moments();
      return numericFitter(
        (value) => moments.add(value),
        () => imputer(moments.mean()),
      );
    }
    case 'median': {
      const quantiles = new Quantiles(field);
      return numericFitter(
        (value) => quantiles.add(value),
        () => imputer(quantiles.at([0.5])[0] ?? null),
      );
    }
    case 'most_frequent': {
      const categories = new Categories(field, 'use the strategy mean, median or constant');
      return fitter(
        (value) => categories.add(value),
        () => imputer(categories.mostFrequent()),
      );
    }
  }
}
