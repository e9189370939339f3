import type { ComputationRules } from '../definition/computation.js';
import { compileExpression, expressionInputs } from './expression.js';
import { describeOutputs } from './transformer-output.js';

/** The checks of expressions and transformers that the module `definition` uses. */
export const computation: ComputationRules = {
  inputsOf: expressionInputs,
  checkExpression: (expression, inputs, result) => void compileExpression(expression, inputs, result),
  transformedType: (options, input) => describeOutputs(options, input, 'transform')[0]!.type,
};
