/**
 * Value types of columns, features and join keys, and the conversion of JSON values to them.
 *
 * Invariants
 * 1. A value in memory has exactly one form for its type. STRING is a string, BOOL a boolean, INT32 and FLOAT64 a
 *    number, and INT64 a bigint. TIMESTAMP is a number of milliseconds since 1970 UTC. A list is an array.
 * 2. Nothing is rounded silently. An INT64 sent as a number beyond 2^53 is refused, and so are NaN and infinities.
 */
import { z } from 'zod';

export const SCALAR_TYPES = ['STRING', 'BOOL', 'INT32', 'INT64', 'FLOAT64', 'TIMESTAMP'] as const;
export type ScalarType = (typeof SCALAR_TYPES)[number];
export type ValueType = ScalarType | `${ScalarType}[]`;

export type ScalarValue = string | number | bigint | boolean;
export type FeatureValue = ScalarValue | readonly ScalarValue[] | null;

const VALUE_TYPES: readonly ValueType[] = [...SCALAR_TYPES, ...SCALAR_TYPES.map((type) => `${type}[]` as const)];

/** The schema of a value type. */
export const valueTypeSchema = z.enum(VALUE_TYPES as [ValueType, ...ValueType[]]);
/** The schema of the type of a join key. */
export const keyTypeSchema = z.enum(['STRING', 'INT32', 'INT64']);
export type KeyType = z.infer<typeof keyTypeSchema>;

/** Returns the element type of a list type, or null for a scalar type. */
export function elementType(type: ValueType): ScalarType | null {
  return type.endsWith('[]') ? (type.slice(0, -2) as ScalarType) : null;
}

const INT32_LIMIT = 2 ** 31;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
/** 0001-01-01 to 9999-12-31: the years that ISO 8601 without signs, PostgreSQL and JavaScript all support. */
const TIMESTAMP_MIN = -62_135_596_800_000;
const TIMESTAMP_MAX = 253_402_300_799_999;
const ISO_8601 = /^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:?\d{2}))?$/;
const MAX_LIST = 65_536;

/** The result of reading a value: the value, or the reason why the input is not one. */
export type ReadValue<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };
const bad = (reason: string): ReadValue<never> => ({ ok: false, reason });
const good = <T>(value: T): ReadValue<T> => ({ ok: true, value });

function shown(input: unknown): string {
  const plain = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? `${value}` : value);
  let text: string;
  try {
    text = typeof input === 'bigint' ? `${input}` : (JSON.stringify(input, plain) ?? String(input));
  } catch {
    // JSON.stringify cannot write lists that are nested thousands deep, although JSON.parse can read them.
    text = 'something nested too deeply to be shown';
  }
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}

function readString(input: unknown): ReadValue<string> {
  if (typeof input !== 'string') return bad(`expected a string, got ${shown(input)}`);
  if (input.includes('\u0000')) return bad('a string may not hold the character U+0000');
  if (/[\ud800-\udfff]/.test(input) && !isWellFormed(input)) return bad('the string is not well-formed Unicode');
  return good(input);
}

function isWellFormed(text: string): boolean {
  return !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text);
}

function readInt32(input: unknown): ReadValue<number> {
  const number = typeof input === 'bigint' ? Number(input) : input;
  if (typeof number !== 'number' || !Number.isInteger(number)) return bad(`expected an integer, got ${shown(input)}`);
  if (number < -INT32_LIMIT || number >= INT32_LIMIT) return bad(`${shown(input)} is outside of INT32`);
  return good(number === 0 ? 0 : number);
}

function readInt64(input: unknown): ReadValue<bigint> {
  let value: bigint;
  if (typeof input === 'bigint') value = input;
  else if (typeof input === 'number') {
    if (!Number.isInteger(input)) return bad(`expected an integer, got ${shown(input)}`);
    if (!Number.isSafeInteger(input)) return bad(`${input} is beyond 2^53: send it as a decimal string`);
    value = BigInt(input);
  } else if (typeof input === 'string' && /^-?\d{1,19}$/.test(input)) value = BigInt(input);
  else return bad(`expected an integer, got ${shown(input)}`);
  return value < INT64_MIN || value > INT64_MAX ? bad(`${shown(input)} is outside of INT64`) : good(value);
}

function readFloat64(input: unknown): ReadValue<number> {
  const number = typeof input === 'bigint' ? Number(input) : input;
  if (typeof number !== 'number') return bad(`expected a number, got ${shown(input)}`);
  if (!Number.isFinite(number)) return bad('NaN and infinities are not stored');
  return good(number === 0 ? 0 : number);
}

function readTimestamp(input: unknown): ReadValue<number> {
  let time: number;
  if (typeof input === 'number') time = input;
  else if (typeof input === 'string' && ISO_8601.test(input)) {
    time = Date.parse(input.replace(' ', 'T').replace(/\.(\d{3})\d+/, '.$1'));
    // Date.parse accepts 31 February and returns a day in March, so the day is checked here.
    const day = Number(input.slice(8, 10));
    const lastDay = new Date(
      Date.UTC(2000 + (Number(input.slice(0, 4)) % 400), Number(input.slice(5, 7)), 0),
    ).getUTCDate();
    if (day < 1 || day > lastDay) return bad(`${shown(input)} is not a date`);
  } else return bad(`expected a time in ISO 8601 with a zone, or milliseconds since 1970, got ${shown(input)}`);
  if (!Number.isInteger(time)) return bad(`${shown(input)} is not a time`);
  return time < TIMESTAMP_MIN || time > TIMESTAMP_MAX
    ? bad(`${shown(input)} is outside of the years 1 to 9999`)
    : good(time);
}

const READERS: Record<ScalarType, (input: unknown) => ReadValue<ScalarValue>> = {
  STRING: readString,
  BOOL: (input) => (typeof input === 'boolean' ? good(input) : bad(`expected true or false, got ${shown(input)}`)),
  INT32: readInt32,
  INT64: readInt64,
  FLOAT64: readFloat64,
  TIMESTAMP: readTimestamp,
};

/**
 * Reads a JSON value as a value of `type`. Undefined and null become null.
 * Returns the value in the form that invariant 1 describes, or the reason why the input is not a value of `type`.
 */
export function readValue(type: ValueType, input: unknown): ReadValue<FeatureValue> {
  if (input === null || input === undefined) return good(null);
  const element = elementType(type);
  if (!element) return READERS[type as ScalarType](input);
  if (!Array.isArray(input)) return bad(`expected a list, got ${shown(input)}`);
  if (input.length > MAX_LIST) return bad(`a list may hold at most ${MAX_LIST} values, this one has ${input.length}`);
  const values: ScalarValue[] = [];
  for (const [index, item] of input.entries()) {
    const read = READERS[element](item);
    if (!read.ok) return bad(`[${index}]: ${read.reason}`);
    values.push(read.value);
  }
  return good(values);
}

/** Returns a value as JSON: INT64 as a decimal string, TIMESTAMP as ISO 8601 in UTC, everything else unchanged. */
export function valueToJson(type: ValueType, value: FeatureValue): unknown {
  if (value === null) return null;
  if (Array.isArray(value)) {
    const element = elementType(type) as ScalarType;
    return value.map((item: ScalarValue) => valueToJson(element, item));
  }
  if (typeof value === 'bigint') return value.toString();
  return type === 'TIMESTAMP' ? new Date(value as number).toISOString() : value;
}
