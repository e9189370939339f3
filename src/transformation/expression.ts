/**
 * Expressions of on-demand feature views: CEL over values of a request and of features, checked at definition.
 *
 * Invariants
 * 1. An expression that compiles never throws. Without a result it gives null (null rule in expression-compiler.ts).
 * 2. The result is null or a value of its declared type, in the form that value-type.ts defines. Only int → FLOAT64 is
 *    converted. An int outside of INT32, or a text or time that the type cannot hold, becomes null.
 * 3. An evaluation beyond its budget of steps and bytes is null (expression-budget.ts).
 * 4. Evaluation is deterministic and has no effects. It uses no clock, randomness or time zone.
 */
import { type FeatureValue, readValue, type ValueType } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';
import { beginEvaluation, chargeResult, type ExpressionWork, endEvaluation } from './expression-budget.js';
import { compileNode } from './expression-compiler.js';
import { collectNames, expressionError, parseExpression } from './expression-syntax.js';
import { convertPart, type Evaluate, expressionTypeOf, type Typed, unifyTypes } from './expression-type.js';

/** An input of an expression. `name` is an identifier, or two with a dot between, such as `request.amount`. */
export interface ExpressionInput {
  readonly name: string;
  readonly type: ValueType;
}

/**
 * A checked and compiled expression. `evaluate` takes the values of the inputs in the order of their declaration, and
 * the work of the request, which limits it together with the evaluations before it.
 */
export interface Expression {
  readonly source: string;
  readonly result: ValueType;
  evaluate(values: readonly FeatureValue[], work?: ExpressionWork): FeatureValue;
}

const INPUT_NAME = /^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)?$/;

/**
 * Compiles `source`, an expression over `inputs` whose value has the type `result`.
 * Throws DEFINITION_INVALID if the source is not an expression, uses unknown names, or has another type. The message
 * has the reason, the position (line and column) and the known names. The expression calls `onExceeded` whenever an
 * evaluation exceeds its budget.
 */
export function compileExpression(
  source: string,
  inputs: readonly ExpressionInput[],
  result: ValueType,
  onExceeded: () => void = () => {},
): Expression {
  const byName = new Map<string, { index: number; type: ValueType }>();
  for (const [index, { name, type }] of inputs.entries()) {
    if (!INPUT_NAME.test(name) || byName.has(name)) {
      const reason = byName.has(name) ? 'is declared twice' : 'is not one name, or two with a dot between';
      throw new FStoreError('DEFINITION_INVALID', `expression: the input ${name} ${reason}`, { field: 'inputs' });
    }
    byName.set(name, { index, type });
  }
  const metered = { isNeeded: false };
  const part = compileNode(parseExpression(source), { source, inputs: byName, variable: null, metered });
  const evaluate = convertResult(part, result, source);
  return {
    source,
    result,
    evaluate: metered.isNeeded ? limitWork(evaluate, onExceeded) : catchAll(evaluate),
  };
}

/**
 * Returns the names that `source` reads (its lineage), each once in order of first use, with their dots.
 * Throws DEFINITION_INVALID if the source is not an expression.
 */
export function expressionInputs(source: string): readonly string[] {
  const names = new Set<string>();
  collectNames(parseExpression(source), names);
  return [...names];
}

/** Returns an `evaluate` that is null if the engine of JavaScript refuses an operation. */
function catchAll(evaluate: Evaluate): Evaluate {
  return (values) => {
    try {
      return evaluate(values);
    } catch {
      return null;
    }
  };
}

/** Returns an `evaluate` that is null beyond its budget, or if the engine of JavaScript refuses an operation. */
function limitWork(evaluate: Evaluate, onExceeded: () => void): Expression['evaluate'] {
  return (values, work) => {
    let value: FeatureValue = null;
    beginEvaluation(values, work);
    try {
      value = evaluate(values);
    } catch {
      onExceeded();
    }
    endEvaluation();
    return value;
  };
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
      // Adding 0 turns −0 into 0, the form in which stores keep it.
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

/** Checks texts, times and lists like JSON values: a value that value-type.ts refuses becomes null. */
function checkedResult(evaluate: Evaluate, result: ValueType): Evaluate {
  return (values) => {
    const value = evaluate(values);
    if (value === null) return null;
    chargeResult(value);
    const read = readValue(result, value);
    return read.ok ? read.value : null;
  };
}
