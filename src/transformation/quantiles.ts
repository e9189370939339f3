/**
 * Exact quantiles of a stream of numbers.
 *
 * Invariants
 * 1. Results are exact and independent of the order of the numbers. It keeps all numbers (8 bytes each) and sorts them.
 * 2. Memory is bounded: it refuses more than MAX_QUANTILE_VALUES numbers, and never estimates.
 */
import { FStoreError } from '../errors.js';

/** 80 MB at 8 bytes each. */
const MAX_QUANTILE_VALUES = 10_000_000;

/** The numbers of a column. */
export class Quantiles {
  readonly #field: string;
  #values = new Float64Array(1024);
  #count = 0;

  /** `field` names the column in the error about too many values. */
  constructor(field: string) {
    this.#field = field;
  }

  /** Adds a finite number. Throws DEFINITION_INVALID beyond MAX_QUANTILE_VALUES. */
  add(value: number): void {
    if (this.#count === MAX_QUANTILE_VALUES) {
      const reason = `quantiles are fitted on at most ${MAX_QUANTILE_VALUES} values`;
      const cure = 'train on a sample, or use standard, minMax or declared bounds, which need no quantiles';
      throw new FStoreError('DEFINITION_INVALID', `${this.#field}: ${reason}; ${cure}`, { field: this.#field });
    }
    if (this.#count === this.#values.length) {
      const larger = new Float64Array(Math.min(this.#count * 2, MAX_QUANTILE_VALUES));
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#count++] = value;
  }

  /**
   * Returns the quantiles at `levels` (0 to 1), by linear interpolation between the two nearest ranks. That is numpy's
   * default, and definition 7 of Hyndman and Fan ("Sample Quantiles in Statistical Packages", 1996). All are null
   * without numbers.
   */
  at(levels: readonly number[]): (number | null)[] {
    const sorted = this.#values.subarray(0, this.#count).sort();
    return levels.map((level) => {
      if (sorted.length === 0) return null;
      const rank = level * (sorted.length - 1);
      const low = sorted[Math.floor(rank)] as number;
      const high = sorted[Math.ceil(rank)] as number;
      const weight = rank - Math.floor(rank);
      // The difference of very large numbers overflows. The formula below needs it, but is exact for equal neighbours.
      if (!Number.isFinite(high - low)) return low * (1 - weight) + high * weight;
      return weight < 0.5 ? low + (high - low) * weight : high - (high - low) * (1 - weight);
    });
  }
}
