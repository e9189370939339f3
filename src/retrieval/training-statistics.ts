/** Statistics of a training set's columns for its manifest, gathered row by row in constant memory. */

import { compareValues } from '../definition/value-order.js';
import type { FeatureValue, ScalarValue, ValueType } from '../definition/value-type.js';
import { valueToJson } from '../definition/value-type.js';

/** Statistics of one column. */
export interface ColumnStatistics {
  readonly nulls: number;
  /** As JSON; null for lists and for columns without a value. */
  readonly min: unknown;
  readonly max: unknown;
  /** Mean of a numeric column; null for other types. */
  readonly mean: number | null;
}

/** Gathers the statistics of one column. */
export class ColumnProfile {
  readonly #type: ValueType;
  #count = 0;
  #nulls = 0;
  #sum = 0;
  #min: ScalarValue | null = null;
  #max: ScalarValue | null = null;

  constructor(type: ValueType) {
    this.#type = type;
  }

  /** Counts one value. */
  add(value: FeatureValue): void {
    this.#count += 1;
    if (value === null) {
      this.#nulls += 1;
      return;
    }
    if (typeof value === 'object') return;
    if (this.#min === null || compareValues(value as ScalarValue, this.#min) < 0) this.#min = value as ScalarValue;
    if (this.#max === null || compareValues(value as ScalarValue, this.#max) > 0) this.#max = value as ScalarValue;
    if (typeof value === 'number' || typeof value === 'bigint') this.#sum += Number(value);
  }

  /** Returns the statistics of all values so far. */
  read(): ColumnStatistics {
    const numbers = this.#type === 'FLOAT64' || this.#type === 'INT32' || this.#type === 'INT64';
    const values = this.#count - this.#nulls;
    return {
      nulls: this.#nulls,
      min: valueToJson(this.#type, this.#min),
      max: valueToJson(this.#type, this.#max),
      mean: numbers && values > 0 ? this.#sum / values : null,
    };
  }
}
