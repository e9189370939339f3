/**
 * The packed form of one (view version, entity) value, as online stores and the update topic carry it.
 *
 *   bytes 0–7    event time, milliseconds, float64 big-endian   ┐ the position in the order of writes:
 *   bytes 8–15   sequence of arrival, float64 big-endian        ┘ greater is newer
 *   byte  16     format: 4 for a remembered NOT_FOUND, which ends with the stamp; 5 for a row; 6 for an aggregation
 *   bytes 17–20  stamp: first 4 bytes of the view's fingerprint
 *   bytes 21–36  in format 6 only: event time, and the instant until which the values hold, float64 big-endian
 *   then         the features in the view's order (`json-packer.ts`)
 *
 * In format 6, bytes 0–7 hold the version of the entity's tiles, and bytes 8–15 the instant of finalization.
 *
 * Invariants
 * 1. decode(encode(x)) = x for every value of every type.
 * 2. Bytes that no encoder of this view version wrote decode to null: another format or stamp, a wrong length, or an
 *    invalid length, mark or boolean within. Decoding never throws. There is no checksum: bytes within a number or a
 *    text are trusted as the store returned them.
 */
import type { ViewVersion } from '../definition/view-version.js';
import { JsonPacker } from './json-packer.js';
import type { StoredRow } from './offline-store.js';
import { DamagedValue } from './packed-values.js';

const NONE = 4;
const ROW = 5;
const FINISHED = 6;
const HEADER = 21;
const HOLDS = 16;

/** A decoded value: the row, or `row: null` for a remembered NOT_FOUND. */
export interface UnpackedValue {
  readonly row: StoredRow | null;
}

/** Packs and unpacks the values of one view version. Create one for each view and reuse it. */
export class ValueCodec {
  readonly values: JsonPacker;
  /** Offset of the first value. */
  readonly start: number;
  readonly #stamp: number;
  readonly #format: typeof ROW | typeof FINISHED;

  constructor(view: Pick<ViewVersion, 'fingerprint' | 'features' | 'aggregation'>) {
    this.#stamp = stampOf(view);
    this.values = new JsonPacker(view.features.map(({ type }) => type));
    this.#format = view.aggregation ? FINISHED : ROW;
    this.start = view.aggregation ? HEADER + HOLDS : HEADER;
  }

  /** Packs a row. Null packs a remembered NOT_FOUND, which is older than every row. */
  encode(row: StoredRow | null): Buffer {
    if (!row) return this.#header(Buffer.alloc(HEADER), -Infinity, 0, NONE);
    const bytes = this.values.pack(this.start, row.values);
    if (this.#format === ROW) return this.#header(bytes, row.eventTime, row.sequence, ROW);
    const { from = 0, until = 0 } = row.holds ?? {};
    bytes.writeDoubleBE(row.eventTime, HEADER);
    bytes.writeDoubleBE(until, HEADER + 8);
    return this.#header(bytes, row.sequence, from, FINISHED);
  }

  /** Unpacks bytes. Returns null if they are not a packed value of this view version. */
  decode(bytes: Buffer): UnpackedValue | null {
    if (!this.#isOwn(bytes)) return null;
    if (bytes[16] === NONE) return bytes.length === HEADER ? { row: null } : null;
    if (bytes.length < this.start) return null;
    const [first, second] = [bytes.readDoubleBE(0), bytes.readDoubleBE(8)];
    if (!Number.isFinite(first) || !Number.isFinite(second)) return null;
    try {
      const values = this.values.read(bytes, this.start);
      if (this.#format === ROW) return { row: { eventTime: first, sequence: second, values } };
      const [eventTime, until] = [bytes.readDoubleBE(HEADER), bytes.readDoubleBE(HEADER + 8)];
      if (!Number.isFinite(eventTime) || Number.isNaN(until)) return null;
      return { row: { eventTime, sequence: first, values, holds: { from: second, until } } };
    } catch (error) {
      if (error instanceof DamagedValue) return null;
      throw error;
    }
  }

  /**
   * Returns the event time if the values of `bytes` can be copied unchanged: they hold at instant `at` (milliseconds
   * since 1970) and are not older than `ttl` (milliseconds). Returns NaN if the bytes have to be decoded to find out
   * what they show. Does not read the values themselves.
   */
  eventTimeIfShown(bytes: Buffer, at: number, ttl: number | null): number {
    if (!this.#isOwn(bytes) || bytes[16] === NONE || bytes.length < this.start) return Number.NaN;
    const eventTime = bytes.readDoubleBE(this.#format === ROW ? 0 : HEADER);
    const holds =
      this.#format === ROW
        ? eventTime <= at && Number.isFinite(bytes.readDoubleBE(8))
        : bytes.readDoubleBE(8) <= at && at < bytes.readDoubleBE(HEADER + 8) && Number.isFinite(bytes.readDoubleBE(0));
    return holds && eventTime >= (ttl === null ? -Number.MAX_VALUE : at - ttl) ? eventTime : Number.NaN;
  }

  #isOwn(bytes: Buffer): boolean {
    if (bytes.length < HEADER || (bytes[16] !== this.#format && bytes[16] !== NONE)) return false;
    return bytes.readUInt32BE(17) === this.#stamp;
  }

  #header(bytes: Buffer, first: number, second: number, format: number): Buffer {
    bytes.writeDoubleBE(first, 0);
    bytes.writeDoubleBE(second, 8);
    bytes[16] = format;
    bytes.writeUInt32BE(this.#stamp, 17);
    return bytes;
  }
}

/** Returns the stamp of packed values, which distinguishes a view version from others. */
export function stampOf(view: Pick<ViewVersion, 'fingerprint'>): number {
  return Number.parseInt(view.fingerprint.slice(0, 8), 16);
}

/**
 * Returns whether `candidate` should replace `stored`, by the order in their headers; false if they are equal. A
 * damaged stored header counts as older, so that it can be replaced.
 */
export function isNewer(candidate: Buffer, stored: Buffer): boolean {
  if (stored.length < 16) return true;
  const [time, storedTime] = [candidate.readDoubleBE(0), stored.readDoubleBE(0)];
  return !(storedTime > time || (storedTime === time && stored.readDoubleBE(8) >= candidate.readDoubleBE(8)));
}
