/** What definitions need to know of expressions and transformers, whose code lies in a room to the right. */
import type { TransformerOptions } from './transformer-options.js';
import type { ValueType } from './value-type.js';

export interface ComputationRules {
  /** The names that an expression reads, such as `request.amount`. Throws DEFINITION_INVALID. */
  inputsOf(expression: string): readonly string[];
  /** Throws DEFINITION_INVALID unless the expression over `inputs` gives a value of type `result`. */
  checkExpression(
    expression: string,
    inputs: readonly { readonly name: string; readonly type: ValueType }[],
    result: ValueType,
  ): void;
  /** The type that a transformer gives. Throws DEFINITION_INVALID where it does not take `input`. */
  transformedType(options: TransformerOptions, input: ValueType): ValueType;
}
