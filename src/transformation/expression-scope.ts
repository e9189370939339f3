/**
 * What every part of the compiler of expressions shares: the names in scope, the error at a node, and the null rule of
 * strict operations.
 */
import type { FeatureValue, ValueType } from '../definition/value-type.js';
import { expressionError, type Node } from './expression-syntax.js';
import { type Evaluate, type ExpressionType, type Typed, unifyTypes } from './expression-type.js';

/** What an expression may name, and how to say that it is wrong. */
export interface Scope {
  readonly source: string;
  readonly inputs: ReadonlyMap<string, { readonly index: number; readonly type: ValueType }>;
  /** The variable of the list macro around, if there is one. */
  readonly variable: { readonly name: string; readonly part: Typed } | null;
}

/** An error at the place of `node`. */
export function fail(node: Node, scope: Scope, reason: string): Error {
  return expressionError(scope.source, node.start, reason);
}

/** The one type that all `parts` convert to; null for no parts. */
export function unifyAll(parts: readonly Typed[], node: Node, scope: Scope, what: string): ExpressionType | null {
  let type: ExpressionType | null = null;
  for (const part of parts) {
    const unified: ExpressionType | null = type === null ? part.type : unifyTypes(type, part.type);
    if (unified === null) throw fail(node, scope, `${what} must have one type, not ${type} and ${part.type}`);
    type = unified;
  }
  return type;
}

/** Throws unless `part` is bool or the literal null. */
export function requireBool(part: Typed, node: Node, scope: Scope, what: string): void {
  if (part.type !== 'bool' && part.type !== 'null') throw fail(node, scope, `${what} is a bool, not ${part.type}`);
}

/** Calls `call` with the values of `parts`, or gives null where one of them is null. */
export function strict(parts: readonly Typed[], call: (...values: FeatureValue[]) => FeatureValue): Evaluate {
  const [first, second, third] = parts.map((part) => part.evaluate);
  if (first && second && third) {
    return (values) => {
      const a = first(values);
      const b = second(values);
      const c = third(values);
      return a === null || b === null || c === null ? null : call(a, b, c);
    };
  }
  if (first && second) {
    return (values) => {
      const a = first(values);
      if (a === null) return null;
      const b = second(values);
      return b === null ? null : call(a, b);
    };
  }
  if (!first) throw new RangeError('strict needs one to three parts');
  return (values) => {
    const a = first(values);
    return a === null ? null : call(a);
  };
}
