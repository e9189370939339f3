/** The aggregate functions, the column types that they accept, and the types of their results. */
import { elementType, type ScalarType, type ValueType } from './value-type.js';

/** The names of all aggregate functions. */
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

/** Limit of doubles that are summed. Sums or squares of larger ones could overflow, so such an event is refused. */
export const SUMMABLE_LIMIT = 1e100;

/** Returns true for functions that add up values or their squares. */
export function isSumming(name: AggregateFunction): boolean {
  return name === 'sum' || name === 'avg' || name === 'stddev' || name === 'variance';
}

/** Returns the column types that a function accepts. Null for `count`, which accepts any column, or none. */
export function inputTypesOf(name: AggregateFunction): readonly ValueType[] | null {
  return name === 'count' ? null : INPUTS[name];
}

/** Returns the type of a function's result over a column of type `input`; null if the function counts events. */
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
