/**
 * The distinct values of a stream and how often each occurs.
 *
 * Invariants
 * 1. At most MAX_CATEGORIES distinct values; a column with more is no category and is refused.
 * 2. The order is one for all: text by its UTF-8 bytes, numbers by size, false before true. Never the order of arrival.
 */
import { compareValues } from '../definition/value-order.js';
import type { ScalarValue } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';

const MAX_CATEGORIES = 10_000;

export class Categories {
  readonly #field: string;
  readonly #cure: string;
  readonly #counts = new Map<ScalarValue, number>();

  /** `field` is named in the error of too many values, which ends with `cure`. */
  constructor(field: string, cure: string) {
    this.#field = field;
    this.#cure = cure;
  }

  /** Takes one more value. Throws DEFINITION_INVALID for the first distinct value beyond MAX_CATEGORIES. */
  add(value: ScalarValue): void {
    const count = this.#counts.get(value);
    if (count === undefined && this.#counts.size === MAX_CATEGORIES) {
      const reason = `the column has more than ${MAX_CATEGORIES} distinct values`;
      throw new FStoreError('DEFINITION_INVALID', `${this.#field}: ${reason}; ${this.#cure}`, { field: this.#field });
    }
    this.#counts.set(value, (count ?? 0) + 1);
  }

  /** The distinct values in their order. */
  sorted(): readonly ScalarValue[] {
    return [...this.#counts.keys()].sort(compareValues);
  }

  /** The value that occurs most often, the first in the order where several do; null for no values. */
  mostFrequent(): ScalarValue | null {
    let best: ScalarValue | null = null;
    let most = 0;
    for (const value of this.sorted()) {
      const count = this.#counts.get(value) as number;
      if (count > most) [best, most] = [value, count];
    }
    return best;
  }
}

/** A value as it is kept in JSON: INT64 as decimal string, everything else as it is. */
export function categoryToJson(value: ScalarValue): string | number | boolean {
  return typeof value === 'bigint' ? value.toString() : value;
}
