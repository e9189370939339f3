import type { FeatureValue } from '../definition/value-type.js';
import type { ValueCodec } from '../store/value-codec.js';
import type { FeatureRow } from './feature-row.js';

/** A row that holds and whose values are still packed: its JSON can be copied, and they are unpacked when they are asked for. */
export class PackedRow implements FeatureRow {
  readonly status = 'PRESENT';
  #values: readonly FeatureValue[] | null = null;

  constructor(
    readonly codec: ValueCodec,
    readonly bytes: Buffer,
    readonly eventTime: number,
  ) {}

  /** Throws DamagedValue. */
  get values(): readonly FeatureValue[] {
    this.#values ??= this.codec.values.read(this.bytes, this.codec.start);
    return this.#values;
  }
}
