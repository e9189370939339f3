/**
 * Types inside of expressions and how they meet the types of features.
 *
 * Invariants
 * 1. A value inside of an expression has one form for its type: int bigint (64 bits), double finite number, timestamp and
 *    duration milliseconds as number, bool boolean, string string, a list an array, and null is "no value" of any type.
 * 2. The only conversion that nobody writes is int → double, to the nearest double.
 */
import { elementType, type FeatureValue, type ScalarType, type ValueType } from '../definition/value-type.js';

export type ExpressionScalar = 'int' | 'double' | 'bool' | 'string' | 'timestamp' | 'duration' | 'null';
export type ExpressionType = ExpressionScalar | `list<${ExpressionScalar}>`;

/** A compiled part of an expression: takes the values of the inputs, in their order; null is "no value". */
export type Evaluate = (values: readonly FeatureValue[]) => FeatureValue;

/** A part of an expression whose type is known. */
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

/** The type that a feature of `type` has inside of an expression. */
export function expressionTypeOf(type: ValueType): ExpressionType {
  const element = elementType(type);
  return element ? `list<${OF_SCALAR[element]}>` : OF_SCALAR[type as ScalarType];
}

/** The type of a list's items, or null for what is no list. */
export function itemType(type: ExpressionType): ExpressionScalar | null {
  return type.startsWith('list<') ? (type.slice(5, -1) as ExpressionScalar) : null;
}

/** True for int and double. */
export function isNumeric(type: ExpressionType): boolean {
  return type === 'int' || type === 'double';
}

/** The narrowest type that both types convert to without being asked, or null where there is none. */
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

/** `part` as a part of type `to`, which must be what `unifyTypes` gave for the type of the part and another. */
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
      evaluate: (values) => (evaluate(values) as readonly bigint[] | null)?.map(Number) ?? null,
    };
  }
  return { type: to, evaluate };
}

/**
 * How an input of `type` is read at place `index` of the values: INT32 numbers become bigint, everything else is already
 * in its form. A value that is missing altogether reads as null.
 */
export function readInput(type: ValueType, index: number): Evaluate {
  if (type === 'INT32') {
    return (values) => {
      const value = values[index] ?? null;
      return value === null ? null : BigInt(value as number);
    };
  }
  if (type === 'INT32[]') {
    return (values) => (values[index] as readonly number[] | null | undefined)?.map(BigInt) ?? null;
  }
  return (values) => values[index] ?? null;
}
