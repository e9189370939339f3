/**
 * The operators of expressions, by the types of their operands.
 *
 * Invariants
 * 1. An operator is never called with null. It returns null if it has no result: for integer overflow, division by
 *    zero, and a double that is not finite.
 * 2. int with int gives int (64 bits, exact; division truncates towards zero, as in CEL). int with double gives double.
 */

import { compareText } from '../definition/value-order.js';
import type { FeatureValue } from '../definition/value-type.js';
import { charge, chargeText, growList } from './expression-budget.js';
import { finite, int64 } from './expression-function.js';
import { appendText } from './expression-text.js';
import { type ExpressionType, isNumeric, itemType, unifyTypes } from './expression-type.js';

/** An operator for two types. `operands` is the type to which both operands are converted first; null for none. */
export interface Operation {
  readonly operands: ExpressionType | null;
  readonly result: ExpressionType;
  readonly call: (left: FeatureValue, right: FeatureValue) => FeatureValue;
}

function operation(
  operands: ExpressionType | null,
  result: ExpressionType,
  call: (left: never, right: never) => FeatureValue,
): Operation {
  return { operands, result, call: call as Operation['call'] };
}

const INTEGER: Readonly<Record<string, Operation>> = {
  '+': operation('int', 'int', (a: bigint, b: bigint) => int64(a + b)),
  '-': operation('int', 'int', (a: bigint, b: bigint) => int64(a - b)),
  '*': operation('int', 'int', (a: bigint, b: bigint) => int64(a * b)),
  '/': operation('int', 'int', (a: bigint, b: bigint) => (b === 0n ? null : int64(a / b))),
  '%': operation('int', 'int', (a: bigint, b: bigint) => (b === 0n ? null : a % b)),
};

const DOUBLE: Readonly<Record<string, Operation>> = {
  '+': operation('double', 'double', (a: number, b: number) => finite(a + b)),
  '-': operation('double', 'double', (a: number, b: number) => finite(a - b)),
  '*': operation('double', 'double', (a: number, b: number) => finite(a * b)),
  '/': operation('double', 'double', (a: number, b: number) => finite(a / b)),
};

const plus = (a: number, b: number): number | null => finite(a + b);
const minus = (a: number, b: number): number | null => finite(a - b);

/** Operators on other types than numbers, by `left operator right`. */
const OTHERS: Readonly<Record<string, Operation>> = {
  'string + string': operation(null, 'string', appendText),
  'timestamp + duration': operation(null, 'timestamp', plus),
  'duration + timestamp': operation(null, 'timestamp', plus),
  'duration + duration': operation(null, 'duration', plus),
  'timestamp - timestamp': operation(null, 'duration', minus),
  'timestamp - duration': operation(null, 'timestamp', minus),
  'duration - duration': operation(null, 'duration', minus),
};

/** Steps for comparing a value with an item of a list. */
const ITEM_STEPS = 4;

type Order = (order: number) => boolean;
const ORDERS: Readonly<Record<string, Order>> = {
  '<': (order) => order < 0,
  '<=': (order) => order <= 0,
  '>': (order) => order > 0,
  '>=': (order) => order >= 0,
};

/** Comparisons of numbers. JavaScript compares a bigint with a number exactly, even beyond 2^53. */
const NUMBER_ORDERS: Readonly<Record<string, Operation['call']>> = {
  '<': (a, b) => (a as number) < (b as number),
  '<=': (a, b) => (a as number) <= (b as number),
  '>': (a, b) => (a as number) > (b as number),
  '>=': (a, b) => (a as number) >= (b as number),
};

/** Returns true if two values of unifiable scalar types are equal. An int may equal a double. */
function sameValue(left: FeatureValue, right: FeatureValue): boolean {
  if (typeof left === 'string' && typeof right === 'string' && left.length === right.length) chargeText(left.length);
  // biome-ignore lint/suspicious/noDoubleEquals: 1n == 1 is the mathematical equality of an int with a double.
  return left === right || (typeof left !== typeof right && left == right);
}

function ordering(operator: string, left: ExpressionType, right: ExpressionType): Operation | null {
  const holds = ORDERS[operator] as Order;
  if (left === 'string' && right === 'string') {
    return operation(null, 'bool', (a: string, b: string) => {
      chargeText(8 * Math.min(a.length, b.length));
      return holds(compareText(a, b));
    });
  }
  const comparable = isNumeric(left) ? isNumeric(right) : left === right && /^(?:timestamp|duration)$/.test(left);
  return comparable ? { operands: null, result: 'bool', call: NUMBER_ORDERS[operator] as Operation['call'] } : null;
}

/** Returns the operation for `left operator right`, or null if there is none for these types. */
export function findOperation(operator: string, left: ExpressionType, right: ExpressionType): Operation | null {
  if (operator in ORDERS) return ordering(operator, left, right);
  if (operator === 'in') {
    const item = itemType(right);
    if (item === null || itemType(left) !== null || unifyTypes(left, item) === null) return null;
    return operation(null, 'bool', (value: FeatureValue, list: readonly FeatureValue[]) => {
      charge(ITEM_STEPS * list.length);
      return list.some((each) => sameValue(value, each));
    });
  }
  const unified = unifyTypes(left, right);
  if (operator === '==' || operator === '!=') {
    if (unified === null || itemType(unified) !== null) return null;
    const equal = operator === '==';
    if (left === 'string' && right === 'string') {
      return operation(null, 'bool', (a: string, b: string) => {
        if (a.length !== b.length) return !equal;
        chargeText(a.length);
        return (a === b) === equal;
      });
    }
    return { operands: null, result: 'bool', call: (a, b) => sameValue(a, b) === equal };
  }
  if (left === 'int' && right === 'int') return INTEGER[operator] ?? null;
  if (isNumeric(left) && isNumeric(right)) return DOUBLE[operator] ?? null;
  if (operator === '+' && unified !== null && itemType(unified) !== null) {
    return operation(unified, unified, (a: readonly never[], b: readonly never[]) => {
      growList(a.length + b.length);
      return [...a, ...b];
    });
  }
  return OTHERS[`${left} ${operator} ${right}`] ?? null;
}
