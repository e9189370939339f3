import { FStoreError } from '../errors.js';
import { ExpressionWork } from '../transformation/expression-budget.js';

/**
 * What one operation may ask for, over all of its fields: entities, where an id that is given twice counts twice, and
 * the work of expressions.
 */
export class KeyAllowance {
  #used = 0;
  /** The steps that the expressions of this operation have taken. */
  readonly work = new ExpressionWork();

  constructor(readonly max: number) {}

  /** Counts `count` entities of the argument `field`. Throws LIST_TOO_LONG when the operation asks for more than `max`. */
  take(count: number, field: string): void {
    this.#used += count;
    if (this.#used <= this.max) return;
    const message =
      count > this.max
        ? `${field} has ${count} keys, at most ${this.max} are allowed`
        : `the operation asks for more than ${this.max} entities, counted over all of its fields`;
    throw new FStoreError('LIST_TOO_LONG', message, { field });
  }
}
