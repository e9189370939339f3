import type { FeatureValue } from '../definition/value-type.js';
import type { ValueCodec } from '../store/value-codec.js';
import type { FeatureRow } from './feature-row.js';

/**
 * A present row whose values are still packed. Its JSON can be copied; values are decoded when they are first read.
 */
export class PackedRow implements FeatureRow {
  readonly status = 'PRESENT';
  #values: readonly FeatureValue[] | null = null;

  constructor(
    readonly codec: ValueCodec,
    readonly bytes: Buffer,
    readonly eventTime: number,
  ) {}

  /** Decodes the values. Throws DamagedValue if the bytes are damaged. */
  get values(): readonly FeatureValue[] {
    this.#values ??= this.codec.values.read(this.bytes, this.codec.start);
    return this.#values;
  }
}
