/** The functions that an aggregation may have: what they take and what type they give. */
import { elementType, type ScalarType, type ValueType } from './value-type.js';

export const AGGREGATE_FUNCTIONS = [
  'count',
  'sum',
  'avg',
  'min',
  'max',
  'first',
  'last',
  'lastN',
  'stddev',
  'variance',
  'countDistinct',
] as const;
export type AggregateFunction = (typeof AGGREGATE_FUNCTIONS)[number];

const NUMBERS: readonly ValueType[] = ['INT32', 'INT64', 'FLOAT64'];
const ORDERED: readonly ValueType[] = [...NUMBERS, 'STRING', 'TIMESTAMP'];
const SCALARS: readonly ValueType[] = [...ORDERED, 'BOOL'];

const INPUTS: Record<Exclude<AggregateFunction, 'count'>, readonly ValueType[]> = {
  sum: NUMBERS,
  avg: NUMBERS,
  stddev: NUMBERS,
  variance: NUMBERS,
  min: ORDERED,
  max: ORDERED,
  first: SCALARS,
  last: SCALARS,
  lastN: SCALARS,
  countDistinct: SCALARS,
};

/** Sums and squares of doubles beyond this could leave the range of doubles; an event that has one is refused. */
export const SUMMABLE_LIMIT = 1e100;

/** True for functions that add up their values. */
export function isSumming(name: AggregateFunction): boolean {
  return name === 'sum' || name === 'avg' || name === 'stddev' || name === 'variance';
}

/** The types of column that a function takes; null for `count`, which takes every type, or no column. */
export function inputTypesOf(name: AggregateFunction): readonly ValueType[] | null {
  return name === 'count' ? null : INPUTS[name];
}

/** The type of a function's result over a column of `input` (null: over events). */
export function resultTypeOf(name: AggregateFunction, input: ValueType | null): ValueType {
  switch (name) {
    case 'count':
    case 'countDistinct':
      return 'INT64';
    case 'avg':
    case 'stddev':
    case 'variance':
      return 'FLOAT64';
    case 'sum':
      return input === 'FLOAT64' ? 'FLOAT64' : 'INT64';
    case 'lastN':
      return `${scalar(input)}[]`;
    default:
      return scalar(input);
  }
}

function scalar(type: ValueType | null): ScalarType {
  if (type === null || elementType(type)) throw new Error(`${type} is no scalar type`);
  return type as ScalarType;
}
