/**
 * Applies fitted transformers to values.
 *
 * Invariants
 * 1. Pure: the same value and parameters give the same output, in training and in serving.
 * 2. Null stays null, except for imputer (its value) and oneHot (all 0). A number that is not finite becomes null.
 * 3. If fitting could not find a parameter, such as the mean of no values, its step of the formula is skipped.
 */

import {
  type FittedParameters,
  fittedParametersSchema,
  type ParametersOf,
  type TransformerOptions,
} from '../definition/transformer-options.js';
import {
  type FeatureValue,
  readValue,
  type ScalarType,
  type ScalarValue,
  type ValueType,
} from '../definition/value-type.js';
import { FStoreError } from '../errors.js';
import { checkInput, describeOutputs, type TransformerOutput } from './transformer-output.js';

/** A fitted transformer. `apply` returns one value for each of `outputs`. */
export interface Transformer {
  readonly outputs: readonly TransformerOutput[];
  apply(value: FeatureValue): readonly FeatureValue[];
}

type Apply = (value: FeatureValue) => FeatureValue;

/**
 * Returns the transformer of `options` with the parameters that its fitter found on a column of `inputType`.
 * Throws DEFINITION_INVALID, which names `field`, if the transformer does not accept that type. It throws the same if
 * the parameters belong to another transformer or have an unknown version.
 */
export function createTransformer(
  options: TransformerOptions,
  parameters: FittedParameters,
  inputType: ValueType,
  field = 'transformer',
): Transformer {
  const outputs = describeOutputs(options, inputType, field);
  const read = fittedParametersSchema.safeParse(parameters);
  const apply =
    read.success && read.data.type === options.type
      ? applyOf(read.data, checkInput(options, inputType, field), outputs)
      : null;
  if (!apply) {
    const reason = `the fitted parameters are not those of ${options.type} on ${inputType}, version 1; fit it again`;
    throw new FStoreError('DEFINITION_INVALID', `${field}: ${reason}`, { field });
  }
  return { outputs, apply: (value) => [apply(value)] };
}

/** Returns the function that `parameters` define; null if they hold a value that is not of the column's type. */
function applyOf(parameters: FittedParameters, type: ScalarType, outputs: readonly TransformerOutput[]): Apply | null {
  switch (parameters.type) {
    case 'standard':
      return numeric(scaling(parameters.mean, parameters.deviation));
    case 'minMax':
      return numeric(minMax(parameters));
    case 'robust':
      return numeric(robust(parameters));
    case 'log':
      return numeric((value) => (value <= -1 ? null : Math.log1p(value)));
    case 'clip':
      return numeric(clip(parameters));
    case 'bucketizer':
      return numeric((value) => countUpTo(parameters.edges, value));
    case 'label':
      return label(parameters, type);
    case 'oneHot':
      return oneHot(parameters, type);
    case 'imputer':
      return imputer(parameters, outputs[0]?.type ?? type);
  }
}

/** Null stays null, INT64 becomes the nearest double, a result that is not finite becomes null, and −0 becomes 0. */
function numeric(apply: (value: number) => number | null): Apply {
  return (value) => {
    if (value === null) return null;
    const result = apply(Number(value));
    return result === null || !Number.isFinite(result) ? null : result + 0;
  };
}

/** (x − centre) / scale. Without a scale, or with scale 0, it only subtracts; without a centre, it returns x. */
function scaling(centre: number | null, scale: number | null): (value: number) => number {
  if (centre === null) return (value) => value;
  if (scale === null || scale === 0) return (value) => value - centre;
  return (value) => (value - centre) / scale;
}

function minMax({ min, max }: ParametersOf<'minMax'>): (value: number) => number {
  if (min === null || max === null) return (value) => value;
  // The difference of very large bounds overflows, but the difference of their halves does not.
  if (!Number.isFinite(max - min)) return (value) => (value / 2 - min / 2) / (max / 2 - min / 2);
  return scaling(min, max - min);
}

function robust({ lower, median, upper }: ParametersOf<'robust'>): (value: number) => number {
  return scaling(median, lower === null || upper === null ? null : upper - lower);
}

function clip({ min, max }: ParametersOf<'clip'>): (value: number) => number {
  const low = min ?? Number.NEGATIVE_INFINITY;
  const high = max ?? Number.POSITIVE_INFINITY;
  return (value) => Math.min(Math.max(value, low), high);
}

/** Returns how many of the ascending `edges` are at most `value`: the index of its bucket [edge, next edge). */
function countUpTo(edges: readonly number[], value: number): number {
  let low = 0;
  let high = edges.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((edges[middle] as number) <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}

type Places = ReadonlyMap<ScalarValue, number>;

/** Returns the index of each category; null if a category is not a value of `type`. */
function placesOf(categories: ParametersOf<'label'>['categories'], type: ScalarType): Places | null {
  const places = new Map<ScalarValue, number>();
  for (const category of categories) {
    const read = readValue(type, category);
    if (!read.ok) return null;
    places.set(read.value as ScalarValue, places.size);
  }
  return places;
}

function label({ categories }: ParametersOf<'label'>, type: ScalarType): Apply | null {
  const places = placesOf(categories, type);
  return places && ((value) => (value === null ? null : (places.get(value as ScalarValue) ?? -1)));
}

function oneHot({ categories }: ParametersOf<'oneHot'>, type: ScalarType): Apply | null {
  const places = placesOf(categories, type);
  return (
    places &&
    ((value) => {
      const list = new Array<number>(places.size).fill(0);
      const place = value === null ? undefined : places.get(value as ScalarValue);
      if (place !== undefined) list[place] = 1;
      return list;
    })
  );
}

/** For a mean or median all values become doubles, because the output type is FLOAT64. */
function imputer({ value: constant }: ParametersOf<'imputer'>, output: ValueType): Apply | null {
  const read = readValue(output, constant);
  if (!read.ok) return null;
  const substitute = read.value;
  return (value) => {
    if (value === null) return substitute;
    return output === 'FLOAT64' ? Number(value) : value;
  };
}
