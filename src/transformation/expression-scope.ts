/**
 * Shared parts of the expression compiler: names in scope, errors at a node, and the null rule of strict operations.
 */
import type { FeatureValue, ValueType } from '../definition/value-type.js';
import { expressionError, type Node } from './expression-syntax.js';
import { type Evaluate, type ExpressionType, type Typed, unifyTypes } from './expression-type.js';

/** The names that an expression may use, and its source for error messages. */
export interface Scope {
  readonly source: string;
  readonly inputs: ReadonlyMap<string, { readonly index: number; readonly type: ValueType }>;
  /** Whether evaluations have a budget. It is needed if any part is a text or a list: all others take constant time. */
  readonly metered: { isNeeded: boolean };
  /** The variable of the enclosing list macro; null outside of a macro. */
  readonly variable: { readonly name: string; readonly part: Typed } | null;
}

/** Returns an error at the position of `node`. */
export function fail(node: Node, scope: Scope, reason: string): Error {
  return expressionError(scope.source, node.start, reason);
}

/** Returns the type that all `parts` convert to; null if there are no parts. Throws DEFINITION_INVALID. */
export function unifyAll(parts: readonly Typed[], node: Node, scope: Scope, what: string): ExpressionType | null {
  let type: ExpressionType | null = null;
  for (const part of parts) {
    const unified: ExpressionType | null = type === null ? part.type : unifyTypes(type, part.type);
    if (unified === null) throw fail(node, scope, `${what} must have one type, not ${type} and ${part.type}`);
    type = unified;
  }
  return type;
}

/** Throws DEFINITION_INVALID unless `part` is a bool or the literal null. */
export function requireBool(part: Typed, node: Node, scope: Scope, what: string): void {
  if (part.type !== 'bool' && part.type !== 'null') throw fail(node, scope, `${what} is a bool, not ${part.type}`);
}

/** Returns a function that passes the values of one to three `parts` to `call`, and returns null if a value is null. */
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
