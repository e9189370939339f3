/** The port through which definitions check expressions and transformers, which are in the module `transformation`. */
import type { TransformerOptions } from './transformer-options.js';
import type { ValueType } from './value-type.js';

/** Checks of expressions and transformers. */
export interface ComputationRules {
  /** Returns the names that an expression reads, such as `request.amount`. Throws DEFINITION_INVALID. */
  inputsOf(expression: string): readonly string[];
  /** Throws DEFINITION_INVALID unless the expression over `inputs` gives a value of type `result`. */
  checkExpression(
    expression: string,
    inputs: readonly { readonly name: string; readonly type: ValueType }[],
    result: ValueType,
  ): void;
  /** Returns the type of a transformer's result. Throws DEFINITION_INVALID if it does not accept `input`. */
  transformedType(options: TransformerOptions, input: ValueType): ValueType;
}
