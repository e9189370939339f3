/**
 * The input and output types of transformers, which are known before they are fitted.
 */

import type { TransformerOptions, TransformerType } from '../definition/transformer-options.js';
import { elementType, readValue, type ScalarType, type ValueType, valueToJson } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';

/** One output of a transformer. `suffix` is appended to the name of the feature; null keeps the name. */
export interface TransformerOutput {
  readonly suffix: string | null;
  readonly type: ValueType;
}

const NUMBERS: readonly ValueType[] = ['INT32', 'INT64', 'FLOAT64'];
const CATEGORIES: readonly ValueType[] = ['STRING', 'BOOL', 'INT32', 'INT64'];

const INPUT_TYPES: Record<Exclude<TransformerType, 'imputer'>, readonly ValueType[]> = {
  standard: NUMBERS,
  minMax: NUMBERS,
  robust: NUMBERS,
  log: NUMBERS,
  clip: NUMBERS,
  bucketizer: NUMBERS,
  label: CATEGORIES,
  oneHot: CATEGORIES,
};

function refuse(field: string, reason: string): FStoreError {
  return new FStoreError('DEFINITION_INVALID', `${field}: ${reason}`, { field });
}

/**
 * Returns the scalar type of the column that `options` are applied to.
 * Throws DEFINITION_INVALID, which names `field`, if the transformer does not accept `inputType` or if its constant is
 * not a value of that type.
 */
export function checkInput(options: TransformerOptions, inputType: ValueType, field: string): ScalarType {
  if (elementType(inputType)) throw refuse(field, `${options.type} takes one value, not a list (${inputType})`);
  const type = inputType as ScalarType;
  if (options.type === 'imputer') {
    const numeric = options.strategy === 'mean' || options.strategy === 'median';
    if (numeric && !NUMBERS.includes(type)) {
      throw refuse(field, `the ${options.strategy} needs numbers, not ${type}; use most_frequent or constant`);
    }
    if (options.strategy === 'constant') constantOf(options.value, type, field);
    return type;
  }
  const takes = INPUT_TYPES[options.type];
  if (takes.includes(type)) return type;
  let cure = '';
  if (takes === CATEGORIES && type === 'FLOAT64') cure = '; use bucketizer for numbers';
  else if (type === 'TIMESTAMP') cure = '; make a number of the time with an on-demand expression first';
  else if (takes === NUMBERS) cure = '; use label or oneHot for categories';
  throw refuse(field, `${options.type} takes ${takes.join(', ')}, not ${type}${cure}`);
}

/** Returns the JSON form of an imputer's constant. Throws DEFINITION_INVALID if it is not a value of `type`. */
export function constantOf(
  value: string | number | boolean | undefined,
  type: ScalarType,
  field: string,
): string | number | boolean {
  const read = readValue(type, value);
  if (!read.ok) throw refuse(field, `the constant of the imputer is no ${type}: ${read.reason}`);
  return valueToJson(type, read.value) as string | number | boolean;
}

/**
 * Returns the outputs of a transformer, which is exactly one. One-hot gives one list of 0 and 1 for all categories, so
 * that fitting again never changes the GraphQL schema.
 * Throws DEFINITION_INVALID, which names `field`, if the transformer does not accept `inputType`.
 */
export function describeOutputs(
  options: TransformerOptions,
  inputType: ValueType,
  field = 'transformer',
): readonly TransformerOutput[] {
  const type = checkInput(options, inputType, field);
  return [{ suffix: null, type: outputType(options, type) }];
}

function outputType(options: TransformerOptions, type: ScalarType): ValueType {
  switch (options.type) {
    case 'label':
    case 'bucketizer':
      return 'INT32';
    case 'oneHot':
      return 'FLOAT64[]';
    case 'imputer':
      return options.strategy === 'mean' || options.strategy === 'median' ? 'FLOAT64' : type;
    default:
      return 'FLOAT64';
  }
}

/** Returns true if fitting reads values, and false if the options alone determine the parameters. */
export function needsFitting(options: TransformerOptions): boolean {
  switch (options.type) {
    case 'log':
      return false;
    case 'bucketizer':
      return options.edges === undefined;
    case 'clip':
      return options.quantiles !== undefined;
    case 'imputer':
      return options.strategy !== 'constant';
    default:
      return true;
  }
}
