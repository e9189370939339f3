/**
 * The packed form of one (view version, entity) value, as online stores and the update topic carry it.
 *
 *   bytes 0–7    event time, milliseconds, float64 big-endian   ┐ the place in the order of writes:
 *   bytes 8–15   sequence of arrival, float64 big-endian        ┘ greater is newer
 *   byte  16     format: 1, or 2 for the finished values of an aggregation
 *   byte  17     0: there is no value (a remembered NOT_FOUND), 1: a value follows
 *   bytes 18–21  first 4 bytes of the view's fingerprint
 *   bytes 22–37  in format 2 only: event time, and the instant until which the values hold, float64 big-endian
 *   then         the features in the view's order (`packed-values.ts`)
 *
 * In format 2 the place in the order of writes is the version of the entity's tiles, then the instant at which the values were finished.
 *
 * Invariants
 * 1. decode(encode(x)) = x for every value of every type.
 * 2. Bytes of another format or another meaning, cut short or too long, or with a length, a mark or a boolean that no
 *    encoder wrote, decode to null; nothing makes decoding throw. There is no checksum: bytes within a number or a text are
 *    trusted as the store returned them.
 */
import type { ViewVersion } from '../definition/view-version.js';
import type { StoredRow } from './offline-store.js';
import { DamagedValue, ValuePacker } from './packed-values.js';

const ROW = 1;
const FINISHED = 2;
const HEADER = 22;
const HOLDS = 16;

/** A decoded value: the row, or `row: null` for a remembered NOT_FOUND. */
export interface UnpackedValue {
  readonly row: StoredRow | null;
}

/** Packs and unpacks the values of one view version. Create one for a view and keep it. */
export class ValueCodec {
  readonly #stamp: number;
  readonly #packer: ValuePacker;
  readonly #format: typeof ROW | typeof FINISHED;
  readonly #start: number;

  constructor(view: Pick<ViewVersion, 'fingerprint' | 'features' | 'aggregation'>) {
    this.#stamp = stampOf(view);
    this.#packer = new ValuePacker(view.features.map(({ type }) => type));
    this.#format = view.aggregation ? FINISHED : ROW;
    this.#start = view.aggregation ? HEADER + HOLDS : HEADER;
  }

  /** Packs a row; null packs a remembered NOT_FOUND, which is older than every row. */
  encode(row: StoredRow | null): Buffer {
    if (!row) return this.#header(Buffer.alloc(HEADER), -Infinity, 0, 0);
    const bytes = Buffer.allocUnsafe(this.#start + this.#packer.size(row.values));
    if (this.#format === ROW) this.#header(bytes, row.eventTime, row.sequence, 1);
    else {
      const { from = 0, until = 0 } = row.holds ?? {};
      this.#header(bytes, row.sequence, from, 1);
      bytes.writeDoubleBE(row.eventTime, HEADER);
      bytes.writeDoubleBE(until, HEADER + 8);
    }
    this.#packer.write(bytes, this.#start, row.values);
    return bytes;
  }

  /** Unpacks bytes, or returns null if they are not a packed value of this view version. */
  decode(bytes: Buffer): UnpackedValue | null {
    if (bytes.length < HEADER || bytes[16] !== this.#format || bytes.readUInt32BE(18) !== this.#stamp) return null;
    if (bytes[17] === 0) return bytes.length === HEADER ? { row: null } : null;
    if (bytes[17] !== 1 || bytes.length < this.#start) return null;
    try {
      const reader = { bytes, at: this.#start };
      const values = this.#packer.read(reader);
      const [first, second] = [bytes.readDoubleBE(0), bytes.readDoubleBE(8)];
      if (reader.at !== bytes.length || !Number.isFinite(first) || !Number.isFinite(second)) return null;
      if (this.#format === ROW) return { row: { eventTime: first, sequence: second, values } };
      const [eventTime, until] = [bytes.readDoubleBE(HEADER), bytes.readDoubleBE(HEADER + 8)];
      if (!Number.isFinite(eventTime) || Number.isNaN(until)) return null;
      return { row: { eventTime, sequence: first, values, holds: { from: second, until } } };
    } catch (error) {
      if (error instanceof DamagedValue) return null;
      throw error;
    }
  }

  #header(bytes: Buffer, first: number, second: number, present: 0 | 1): Buffer {
    bytes.writeDoubleBE(first, 0);
    bytes.writeDoubleBE(second, 8);
    bytes[16] = this.#format;
    bytes[17] = present;
    bytes.writeUInt32BE(this.#stamp, 18);
    return bytes;
  }
}

/** What tells bytes of one view version from those of another meaning. */
export function stampOf(view: Pick<ViewVersion, 'fingerprint'>): number {
  return Number.parseInt(view.fingerprint.slice(0, 8), 16);
}

/**
 * True unless what is stored is newer than `candidate`, or equal, in the order that both headers carry. A damaged header
 * counts as older: it must not be there for ever.
 */
export function isNewer(candidate: Buffer, stored: Buffer): boolean {
  if (stored.length < 16) return true;
  const [time, storedTime] = [candidate.readDoubleBE(0), stored.readDoubleBE(0)];
  return !(storedTime > time || (storedTime === time && stored.readDoubleBE(8) >= candidate.readDoubleBE(8)));
}
