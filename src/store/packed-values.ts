/**
 * The binary form of a list of typed values: a bitmap of nulls, then the values in order. INT64, TIMESTAMP and FLOAT64
 * take 8 bytes, INT32 takes 4, BOOL takes 1. A STRING is its length (varint) and UTF-8; a list is its length (varint)
 * and its elements.
 */
import {
  elementType,
  type FeatureValue,
  type ScalarType,
  type ScalarValue,
  type ValueType,
} from '../definition/value-type.js';

/** The bytes were not written by a packer of this form. */
export class DamagedValue extends Error {}

/** Bytes, and the offset up to which they have been read. */
export interface Reader {
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

/** Packs and unpacks lists of values that have the same types. */
export class ValuePacker {
  readonly #types: readonly ScalarType[];
  readonly #lists: readonly boolean[];
  readonly #bitmap: number;

  constructor(types: readonly ValueType[]) {
    this.#lists = types.map((type) => elementType(type) !== null);
    this.#types = types.map((type) => elementType(type) ?? (type as ScalarType));
    this.#bitmap = (types.length + 7) >> 3;
  }

  /** Returns the packed size of the values, in bytes. */
  size(values: readonly FeatureValue[]): number {
    let sum = this.#bitmap;
    for (let index = 0; index < this.#types.length; index += 1) {
      sum += sizeOf(this.#types[index]!, this.#lists[index]!, values[index] ?? null);
    }
    return sum;
  }

  /** Writes the values at `start` and returns the offset of their end. */
  write(bytes: Buffer, start: number, values: readonly FeatureValue[]): number {
    let at = start + this.#bitmap;
    bytes.fill(0, start, at);
    for (let index = 0; index < this.#types.length; index += 1) {
      const value = values[index] ?? null;
      if (value === null) {
        bytes[start + (index >> 3)]! |= 1 << (index & 7);
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
    return at;
  }

  /** Reads one value for each type. Throws DamagedValue. */
  read(reader: Reader): FeatureValue[] {
    const { bytes, at: start } = reader;
    reader.at += this.#bitmap;
    if (reader.at > bytes.length) throw new DamagedValue('the nulls run past the end');
    const values: FeatureValue[] = new Array(this.#types.length);
    for (let index = 0; index < this.#types.length; index += 1) {
      if ((bytes[start + (index >> 3)]! >> (index & 7)) & 1) values[index] = null;
      else if (this.#lists[index]) values[index] = readList(reader, this.#types[index]!);
      else values[index] = readScalar(reader, this.#types[index]!);
    }
    return values;
  }
}
