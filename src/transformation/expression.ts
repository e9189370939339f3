/**
 * Expressions of on-demand feature views: CEL over the values of a request and of features, checked when defined.
 *
 * Invariants
 * 1. An expression that compiles never throws: what has no answer is null (see the null rule in expression-compiler.ts).
 * 2. The result is a value of its declared type in the one form of value-type.ts, or null. int → FLOAT64 is the only
 *    conversion of the result; an int outside of INT32 and a text or time that its type cannot hold become null.
 * 3. Evaluation is deterministic and has no effects; it takes no clock, randomness or time zone.
 */
import { type FeatureValue, readValue, type ValueType } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';
import { compileNode } from './expression-compiler.js';
import { collectNames, expressionError, parseExpression } from './expression-syntax.js';
import { convertPart, type Evaluate, expressionTypeOf, type Typed, unifyTypes } from './expression-type.js';

/** What an expression may read: `name` is an identifier or two with a dot between, such as `request.amount`. */
export interface ExpressionInput {
  readonly name: string;
  readonly type: ValueType;
}

/** A checked and compiled expression. `evaluate` takes the values of the inputs in the order of their declaration. */
export interface Expression {
  readonly source: string;
  readonly result: ValueType;
  evaluate(values: readonly FeatureValue[]): FeatureValue;
}

const INPUT_NAME = /^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?$/;

/**
 * Compiles `source`, an expression over `inputs` whose value is of type `result`.
 * Throws DEFINITION_INVALID where the source is no expression, names what does not exist, or has another type; the
 * message says what, where (line and column) and which names exist.
 */
export function compileExpression(source: string, inputs: readonly ExpressionInput[], result: ValueType): Expression {
  const byName = new Map<string, { index: number; type: ValueType }>();
  for (const [index, { name, type }] of inputs.entries()) {
    if (!INPUT_NAME.test(name) || byName.has(name)) {
      const reason = byName.has(name) ? 'is declared twice' : 'is not one name, or two with a dot between';
      throw new FStoreError('DEFINITION_INVALID', `expression: the input ${name} ${reason}`, { field: 'inputs' });
    }
    byName.set(name, { index, type });
  }
  const part = compileNode(parseExpression(source), { source, inputs: byName, variable: null });
  return { source, result, evaluate: convertResult(part, result, source) };
}

/**
 * The names that `source` reads, dotted ones with their dot, each once in the order of their first use: its lineage.
 * Throws DEFINITION_INVALID where the source is no expression.
 */
export function expressionInputs(source: string): readonly string[] {
  const names = new Set<string>();
  collectNames(parseExpression(source), names);
  return [...names];
}

function convertResult(part: Typed, result: ValueType, source: string): Evaluate {
  const wanted = expressionTypeOf(result);
  if (part.type === 'null' || unifyTypes(part.type, wanted) !== wanted) {
    const cures: Record<string, string> = {
      double: wanted === 'int' ? '; write int(…) to cut the fraction off, or int(round(…))' : '',
      duration: '; write (…).getSeconds(), .getMinutes() or .getHours()',
      null: '; it would be null always',
    };
    const reason = `the result is declared ${result}, which is ${wanted} in CEL, but the expression is ${part.type}`;
    throw expressionError(source, 0, reason + (cures[part.type] ?? ''));
  }
  const { evaluate } = convertPart(part, wanted);
  switch (result) {
    case 'FLOAT64':
      // Adding 0 makes −0 the 0 that every store keeps.
      return (values) => {
        const value = evaluate(values) as number | null;
        return value === null ? null : value + 0;
      };
    case 'INT64':
    case 'BOOL':
      return evaluate;
    case 'INT32':
      return (values) => {
        const value = evaluate(values) as bigint | null;
        return value === null || BigInt.asIntN(32, value) !== value ? null : Number(value);
      };
    default:
      return checkedResult(evaluate, result);
  }
}

/** Texts, times and lists are read as a value of JSON is: what value-type.ts refuses becomes null. */
function checkedResult(evaluate: Evaluate, result: ValueType): Evaluate {
  return (values) => {
    const value = evaluate(values);
    if (value === null) return null;
    const read = readValue(result, value);
    return read.ok ? read.value : null;
  };
}
