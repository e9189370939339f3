/**
 * What the values of a column seem to be: type, gaps, and what its name and values hint at.
 *
 * Boundary: pure; looks at a sample of records of JSON values, and at the types that their carrier declares, if it does.
 */
import { readValue, type ScalarType, type ValueType } from './value-type.js';

/** A record of a sample: values as JSON has them, integers beyond 2^53 as bigint. */
export type SampleRecord = Readonly<Record<string, unknown>>;

/** What keeps a column from being used as it is. */
export type ColumnTrouble = 'epoch' | 'zoneless' | 'mixed';

export interface ColumnProfile {
  readonly name: string;
  readonly type: ValueType;
  /** Records in which it is null or missing. */
  readonly nulls: number;
  readonly distinct: number;
  readonly trouble: ColumnTrouble | null;
}

/** The first of these that fits every value of a column is its type. */
const CANDIDATES: readonly ScalarType[] = ['BOOL', 'INT64', 'FLOAT64', 'TIMESTAMP', 'STRING'];
const TIME_NAME = /(?:^|_)(?:time|timestamp|ts|at|date|datetime|when)$|^(?:time|date)/;
const ZONELESS = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?$/;
/** 2000-01-01 to 2100-01-01. */
const [FIRST_YEAR, LAST_YEAR] = [946_684_800, 4_102_444_800];

/** True if a name says that its column holds instants. */
export function isTimeName(name: string): boolean {
  return TIME_NAME.test(name);
}

function isBetween(value: unknown, first: number, last: number): boolean {
  const number = typeof value === 'bigint' ? Number(value) : value;
  return typeof number === 'number' && number >= first && number <= last;
}

/** Text is a number for nobody who reads JSON: `"00123"` is no 123. */
function fits(type: ScalarType, value: unknown): boolean {
  if (typeof value === 'string' && type === 'INT64') return false;
  return readValue(type, value).ok;
}

function typeOf(values: readonly unknown[]): ValueType | null {
  if (values.length === 0) return 'STRING';
  if (values.every(Array.isArray)) {
    const element = typeOf(values.flat());
    return element?.endsWith('[]') ? null : element && (`${element}[]` as ValueType);
  }
  return CANDIDATES.find((type) => values.every((value) => fits(type, value))) ?? null;
}

function profile(
  name: string,
  records: readonly SampleRecord[],
  declared: ValueType | undefined,
  carried: boolean,
): ColumnProfile {
  const values = records.map((record) => record[name]).filter((value) => value !== null && value !== undefined);
  const text = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value, bigText) : String(value));
  const found = { name, nulls: records.length - values.length, distinct: new Set(values.map(text)).size };
  const type = declared ?? typeOf(values);
  if (type === null) return { ...found, type: 'STRING', trouble: 'mixed' };
  if (values.length > 0 && isTimeName(name)) {
    const all = (first: number, last: number): boolean => values.every((value) => isBetween(value, first, last));
    const isMillis = all(FIRST_YEAR * 1_000, LAST_YEAR * 1_000);
    if (isMillis && !carried) return { ...found, type: 'TIMESTAMP', trouble: null };
    if (isMillis || all(FIRST_YEAR, LAST_YEAR)) return { ...found, type, trouble: 'epoch' };
  }
  const isZoneless = type === 'STRING' && values.length > 0 && values.every((value) => ZONELESS.test(text(value)));
  return { ...found, type, trouble: isZoneless ? 'zoneless' : null };
}

function bigText(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? `${value}` : value;
}

/**
 * The columns of a sample, in the order in which they first occur. `declared` are those whose types are known; `carried`: their carrier (a
 * table, a file with a schema) has no other values than those of these types.
 */
export function profileColumns(
  records: readonly SampleRecord[],
  declared: readonly { readonly name: string; readonly type: ValueType }[] = [],
  carried = false,
): ColumnProfile[] {
  const types = new Map(declared.map(({ name, type }) => [name, type]));
  const names = new Set([...types.keys(), ...records.flatMap((record) => Object.keys(record))]);
  return [...names].map((name) => profile(name, records, types.get(name), carried));
}
