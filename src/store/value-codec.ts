/**
 * The packed form of one (view version, entity) value, as online stores and the update topic carry it.
 *
 *   bytes 0–7    event time, milliseconds, float64 big-endian   ┐ the place in the order of writes:
 *   bytes 8–15   sequence of arrival, float64 big-endian        ┘ greater is newer
 *   byte  16     format, 1
 *   byte  17     0: there is no value (a remembered NOT_FOUND), 1: a value follows
 *   bytes 18–21  first 4 bytes of the view's fingerprint
 *   then         null bitmap, then the features in the view's order: INT64 and TIMESTAMP 8 bytes, FLOAT64 8, INT32 4,
 *                BOOL 1, STRING length (varint) and UTF-8, a list its length (varint) and its elements
 *
 * Invariants
 * 1. decode(encode(x)) = x for every value of every type.
 * 2. Bytes of another format or another meaning, cut short or too long, or with a length, a mark or a boolean that no
 *    encoder wrote, decode to null; nothing makes decoding throw. There is no checksum: bytes within a number or a text are
 *    trusted as the store returned them.
 */
import { elementType, type FeatureValue, type ScalarType, type ScalarValue } from '../definition/value-type.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { StoredRow } from './offline-store.js';

const FORMAT = 1;
const HEADER = 22;

/** A decoded value: the row, or `row: null` for a remembered NOT_FOUND. */
export interface UnpackedValue {
  readonly row: StoredRow | null;
}

/** Packs and unpacks the values of one view version. Create one for a view and keep it. */
export class ValueCodec {
  readonly #stamp: number;
  readonly #types: readonly ScalarType[];
  readonly #lists: readonly boolean[];
  readonly #bitmap: number;

  constructor(view: Pick<ViewVersion, 'fingerprint' | 'features'>) {
    this.#stamp = Number.parseInt(view.fingerprint.slice(0, 8), 16);
    this.#lists = view.features.map((feature) => elementType(feature.type) !== null);
    this.#types = view.features.map((feature) => elementType(feature.type) ?? (feature.type as ScalarType));
    this.#bitmap = (view.features.length + 7) >> 3;
  }

  /** Packs a row; null packs a remembered NOT_FOUND, which is older than every row. */
  encode(row: StoredRow | null): Buffer {
    if (!row) return this.#header(Buffer.alloc(HEADER), -Infinity, 0, 0);
    const size = this.#types.reduce(
      (sum, type, index) => sum + sizeOf(type, this.#lists[index] ?? false, row.values[index] ?? null),
      HEADER + this.#bitmap,
    );
    const bytes = this.#header(Buffer.allocUnsafe(size), row.eventTime, row.sequence, 1);
    bytes.fill(0, HEADER, HEADER + this.#bitmap);
    let at = HEADER + this.#bitmap;
    for (let index = 0; index < this.#types.length; index += 1) {
      const value = row.values[index] ?? null;
      if (value === null) {
        bytes[HEADER + (index >> 3)]! |= 1 << (index & 7);
        continue;
      }
      const type = this.#types[index]!;
      if (!this.#lists[index]) at = writeScalar(bytes, at, type, value as ScalarValue);
      else {
        const list = value as readonly ScalarValue[];
        at = writeVarint(bytes, at, list.length);
        for (const item of list) at = writeScalar(bytes, at, type, item);
      }
    }
    return bytes;
  }

  /** Unpacks bytes, or returns null if they are not a packed value of this view version. */
  decode(bytes: Buffer): UnpackedValue | null {
    if (bytes.length < HEADER || bytes[16] !== FORMAT || bytes.readUInt32BE(18) !== this.#stamp) return null;
    if (bytes[17] === 0) return bytes.length === HEADER ? { row: null } : null;
    if (bytes[17] !== 1 || bytes.length < HEADER + this.#bitmap) return null;
    try {
      const reader = { bytes, at: HEADER + this.#bitmap };
      const values: FeatureValue[] = new Array(this.#types.length);
      for (let index = 0; index < this.#types.length; index += 1) {
        if ((bytes[HEADER + (index >> 3)]! >> (index & 7)) & 1) values[index] = null;
        else if (this.#lists[index]) values[index] = readList(reader, this.#types[index]!);
        else values[index] = readScalar(reader, this.#types[index]!);
      }
      const [eventTime, sequence] = [bytes.readDoubleBE(0), bytes.readDoubleBE(8)];
      if (reader.at !== bytes.length || !Number.isFinite(eventTime) || !Number.isFinite(sequence)) return null;
      return { row: { eventTime, sequence, values } };
    } catch (error) {
      if (error instanceof DamagedValue) return null;
      throw error;
    }
  }

  #header(bytes: Buffer, eventTime: number, sequence: number, present: 0 | 1): Buffer {
    bytes.writeDoubleBE(eventTime, 0);
    bytes.writeDoubleBE(sequence, 8);
    bytes[16] = FORMAT;
    bytes[17] = present;
    bytes.writeUInt32BE(this.#stamp, 18);
    return bytes;
  }
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

class DamagedValue extends Error {}

interface Reader {
  readonly bytes: Buffer;
  at: number;
}

function varintSize(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5;
}

function sizeOf(type: ScalarType, list: boolean, value: FeatureValue): number {
  if (value === null) return 0;
  if (list) {
    const items = value as readonly ScalarValue[];
    return items.reduce<number>((sum, item) => sum + sizeOf(type, false, item), varintSize(items.length));
  }
  if (type === 'STRING') {
    const length = Buffer.byteLength(value as string);
    return varintSize(length) + length;
  }
  return type === 'BOOL' ? 1 : type === 'INT32' ? 4 : 8;
}

function writeVarint(bytes: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  while (rest >= 0x80) {
    bytes[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  bytes[at++] = rest;
  return at;
}

function writeScalar(bytes: Buffer, at: number, type: ScalarType, value: ScalarValue): number {
  switch (type) {
    case 'STRING': {
      const length = Buffer.byteLength(value as string);
      const start = writeVarint(bytes, at, length);
      return start + bytes.write(value as string, start, length, 'utf8');
    }
    case 'BOOL':
      return bytes.writeUInt8(value ? 1 : 0, at);
    case 'INT32':
      return bytes.writeInt32LE(value as number, at);
    case 'INT64':
      return bytes.writeBigInt64LE(value as bigint, at);
    case 'FLOAT64':
    case 'TIMESTAMP':
      return bytes.writeDoubleLE(value as number, at);
  }
}

function readVarint(reader: Reader): number {
  let value = 0;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = reader.bytes[reader.at++];
    if (byte === undefined) break;
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return value;
  }
  throw new DamagedValue('a length is cut short or longer than 5 bytes');
}

function readScalar(reader: Reader, type: ScalarType): ScalarValue {
  const { bytes } = reader;
  switch (type) {
    case 'STRING': {
      const length = readVarint(reader);
      const end = reader.at + length;
      if (end > bytes.length) throw new DamagedValue('a string runs past the end');
      const text = bytes.toString('utf8', reader.at, end);
      reader.at = end;
      return text;
    }
    case 'BOOL': {
      const byte = bytes[take(reader, 1)];
      if (byte !== 0 && byte !== 1) throw new DamagedValue('a boolean is neither true nor false');
      return byte === 1;
    }
    case 'INT32':
      return bytes.readInt32LE(take(reader, 4));
    case 'INT64':
      return bytes.readBigInt64LE(take(reader, 8));
    case 'FLOAT64':
    case 'TIMESTAMP':
      return bytes.readDoubleLE(take(reader, 8));
  }
}

/** Moves past `size` bytes and returns where they begin. */
function take(reader: Reader, size: number): number {
  const { at } = reader;
  reader.at += size;
  if (reader.at > reader.bytes.length) throw new DamagedValue('a value runs past the end');
  return at;
}

function readList(reader: Reader, type: ScalarType): ScalarValue[] {
  const length = readVarint(reader);
  if (length > reader.bytes.length - reader.at) throw new DamagedValue('a list runs past the end');
  return Array.from({ length }, () => readScalar(reader, type));
}
