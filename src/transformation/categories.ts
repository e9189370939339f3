/**
 * Counts how often each distinct value of a stream occurs.
 *
 * Invariants
 * 1. It holds at most MAX_CATEGORIES distinct values, and refuses a column with more.
 * 2. The order of values never depends on their order of arrival: strings by UTF-8 bytes, numbers by size, false before
 *    true.
 */
import { compareValues } from '../definition/value-order.js';
import type { ScalarValue } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';

const MAX_CATEGORIES = 10_000;

/** The distinct values of a column, with counts. */
export class Categories {
  readonly #field: string;
  readonly #cure: string;
  readonly #counts = new Map<ScalarValue, number>();

  /** `field` and `cure` are the beginning and the end of the error message about too many values. */
  constructor(field: string, cure: string) {
    this.#field = field;
    this.#cure = cure;
  }

  /** Adds a value. Throws DEFINITION_INVALID if it would be distinct value number MAX_CATEGORIES + 1. */
  add(value: ScalarValue): void {
    const count = this.#counts.get(value);
    if (count === undefined && this.#counts.size === MAX_CATEGORIES) {
      const reason = `the column has more than ${MAX_CATEGORIES} distinct values`;
      throw new FStoreError('DEFINITION_INVALID', `${this.#field}: ${reason}; ${this.#cure}`, { field: this.#field });
    }
    this.#counts.set(value, (count ?? 0) + 1);
  }

  /** Returns the distinct values in order. */
  sorted(): readonly ScalarValue[] {
    return [...this.#counts.keys()].sort(compareValues);
  }

  /** Returns the most frequent value; of several, the first in order. Null if there are no values. */
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

/** Returns a value as JSON: INT64 as decimal string, everything else unchanged. */
export function categoryToJson(value: ScalarValue): string | number | boolean {
  return typeof value === 'bigint' ? value.toString() : value;
}
