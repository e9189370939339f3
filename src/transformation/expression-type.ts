/**
 * Types in expressions, and their conversion from and to the types of features.
 *
 * Invariants
 * 1. A value has one form for its type. int is a bigint (64 bits), and double a finite number. timestamp and duration
 *    are numbers of milliseconds. bool, string and list are a boolean, a string and an array. Every type has null.
 * 2. The only implicit conversion is int → double, to the nearest double.
 */
import { elementType, type FeatureValue, type ScalarType, type ValueType } from '../definition/value-type.js';
import { growList } from './expression-budget.js';

export type ExpressionScalar = 'int' | 'double' | 'bool' | 'string' | 'timestamp' | 'duration' | 'null';
export type ExpressionType = ExpressionScalar | `list<${ExpressionScalar}>`;

/** A compiled part of an expression. It takes the values of the inputs, in order; null means "no value". */
export type Evaluate = (values: readonly FeatureValue[]) => FeatureValue;

/** A compiled part of an expression and its type. */
export interface Typed {
  readonly type: ExpressionType;
  readonly evaluate: Evaluate;
}

const OF_SCALAR: Record<ScalarType, ExpressionScalar> = {
  STRING: 'string',
  BOOL: 'bool',
  INT32: 'int',
  INT64: 'int',
  FLOAT64: 'double',
  TIMESTAMP: 'timestamp',
};

/** Returns the type that a feature of `type` has in an expression. */
export function expressionTypeOf(type: ValueType): ExpressionType {
  const element = elementType(type);
  return element ? `list<${OF_SCALAR[element]}>` : OF_SCALAR[type as ScalarType];
}

/** Returns the type of a list's items, or null if `type` is not a list. */
export function itemType(type: ExpressionType): ExpressionScalar | null {
  return type.startsWith('list<') ? (type.slice(5, -1) as ExpressionScalar) : null;
}

/** Returns true for int and double. */
export function isNumeric(type: ExpressionType): boolean {
  return type === 'int' || type === 'double';
}

/** Returns the narrowest type that both types convert to implicitly, or null if there is none. */
export function unifyTypes(left: ExpressionType, right: ExpressionType): ExpressionType | null {
  if (left === right || right === 'null') return left;
  if (left === 'null') return right;
  if (isNumeric(left) && isNumeric(right)) return 'double';
  const leftItem = itemType(left);
  const rightItem = itemType(right);
  if (!leftItem || !rightItem) return null;
  const item = unifyTypes(leftItem, rightItem);
  return item ? `list<${item as ExpressionScalar}>` : null;
}

/** Returns `part` converted to type `to`, which must be a result of `unifyTypes` for the part's type. */
export function convertPart(part: Typed, to: ExpressionType): Typed {
  if (part.type === to) return part;
  const { evaluate } = part;
  if (part.type === 'int' && to === 'double') {
    return {
      type: to,
      evaluate: (values) => {
        const value = evaluate(values);
        return value === null ? null : Number(value);
      },
    };
  }
  if (part.type === 'list<int>' && to === 'list<double>') {
    return {
      type: to,
      evaluate: (values) => {
        const list = evaluate(values) as readonly bigint[] | null;
        if (list === null) return null;
        growList(list.length);
        return list.map(Number);
      },
    };
  }
  return { type: to, evaluate };
}

/**
 * Returns a reader of the input at `index` of the values. INT32 becomes bigint; all other types keep their form.
 * A missing value is null.
 */
export function readInput(type: ValueType, index: number): Evaluate {
  if (type === 'INT32') {
    return (values) => {
      const value = values[index] ?? null;
      return value === null ? null : BigInt(value as number);
    };
  }
  if (type === 'INT32[]') {
    return (values) => {
      const list = values[index] as readonly number[] | null | undefined;
      if (!list) return null;
      growList(4 * list.length);
      return list.map(BigInt);
    };
  }
  return (values) => values[index] ?? null;
}
