/** Encodes the columns of an event as an Avro datum. */
import type { AvroRecord, AvroType } from '../definition/avro-schema.js';
import type { FeatureValue } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';
import { MAX_DECIMAL } from './avro-reader.js';

/** A value that does not fit its Avro type. */
class Misfit extends Error {}

/** Encodes a datum; missing columns are null. Throws EVENT_FIELD_TYPE, naming the column. */
export function writeAvro(type: AvroRecord, columns: ReadonlyMap<string, FeatureValue>): Buffer {
  const parts = type.fields.map((field) => {
    try {
      return write(field.type, columns.get(field.name) ?? null);
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      const message = `column ${field.name} cannot be written as Avro: ${error.message}`;
      throw new FStoreError('EVENT_FIELD_TYPE', message, { field: field.name });
    }
  });
  return Buffer.concat(parts);
}

function write(type: AvroType, value: FeatureValue): Buffer {
  switch (type.kind) {
    case 'union':
      return writeUnion(type.branches, value);
    case 'null':
      if (value === null) return Buffer.alloc(0);
      break;
    case 'boolean':
      if (typeof value === 'boolean') return Buffer.from([value ? 1 : 0]);
      break;
    case 'int':
      if (isWhole(value) && BigInt.asIntN(32, BigInt(value)) === BigInt(value)) return long(BigInt(value));
      break;
    case 'long':
      if (isWhole(value)) return long(BigInt(value));
      break;
    case 'timestamp':
      if (isWhole(value)) return instant(BigInt(value) * BigInt(type.unit));
      break;
    case 'date':
      if (isWhole(value) && BigInt(value) % 86_400_000n === 0n) return long(BigInt(value) / 86_400_000n);
      break;
    case 'float':
      if (typeof value === 'number' && Number.isFinite(Math.fround(value))) return floating(4, value);
      break;
    case 'double':
      if (typeof value === 'number') return floating(8, value);
      break;
    case 'decimal':
      if (typeof value === 'number') return decimal(value, type.scale, type.size);
      break;
    case 'string':
      if (typeof value === 'string') return sized(Buffer.from(value));
      break;
    case 'enum':
      if (typeof value === 'string' && type.symbols.includes(value)) return long(BigInt(type.symbols.indexOf(value)));
      break;
    case 'array':
      if (Array.isArray(value)) {
        const items = value.map((item) => write(type.items, item as FeatureValue));
        return Buffer.concat([...(items.length > 0 ? [long(BigInt(items.length)), ...items] : []), long(0n)]);
      }
      break;
    default:
      break;
  }
  throw new Misfit(`${value === null ? 'null' : typeof value} is no ${type.kind}`);
}

function writeUnion(branches: readonly AvroType[], value: FeatureValue): Buffer {
  for (const [index, branch] of branches.entries()) {
    try {
      return Buffer.concat([long(BigInt(index)), write(branch, value)]);
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
    }
  }
  const kinds = branches.map(({ kind }) => kind).join(' or ');
  throw new Misfit(`${value === null ? 'null' : typeof value} is no ${kinds}`);
}

const isWhole = (value: FeatureValue): value is number | bigint =>
  typeof value === 'bigint' || (typeof value === 'number' && Number.isSafeInteger(value));

function long(value: bigint): Buffer {
  let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
  const bytes: number[] = [];
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

function instant(value: bigint): Buffer {
  // A 64-bit count of nanoseconds covers about 290 years before and after 1970.
  if (BigInt.asIntN(64, value) !== value) throw new Misfit('the time lies too far away for a long');
  return long(value);
}

function floating(size: 4 | 8, value: number): Buffer {
  const bytes = Buffer.alloc(size);
  if (size === 4) bytes.writeFloatLE(value);
  else bytes.writeDoubleLE(value);
  return bytes;
}

const sized = (bytes: Buffer): Buffer => Buffer.concat([long(BigInt(bytes.length)), bytes]);

function decimal(value: number, scale: number, size: number | null): Buffer {
  const shifted = Math.round(value * 10 ** scale);
  if (!Number.isFinite(shifted)) throw new Misfit(`${value} is too great for a decimal`);
  const unscaled = BigInt(shifted);
  if (Number(`${unscaled}e-${scale}`) !== value) throw new Misfit(`${value} has more than ${scale} decimal places`);
  let count = 1;
  while (BigInt.asIntN(count * 8, unscaled) !== unscaled) count += 1;
  if (count > (size ?? MAX_DECIMAL)) throw new Misfit(`${value} needs more than ${size ?? MAX_DECIMAL} bytes`);
  const width = size ?? count;
  const hex = BigInt.asUintN(width * 8, unscaled)
    .toString(16)
    .padStart(width * 2, '0');
  const bytes = Buffer.from(hex, 'hex');
  return size === null ? sized(bytes) : bytes;
}
