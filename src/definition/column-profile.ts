/**
 * Infers the type of a column from a sample of its values, and what may be wrong with it.
 *
 * Boundary: pure. Input is a sample of records of JSON values, and the column types that their carrier may declare.
 */
import { readValue, type ScalarType, type ValueType } from './value-type.js';

/** One record of a sample. Values are as in JSON, except that integers beyond 2^53 are bigints. */
export type SampleRecord = Readonly<Record<string, unknown>>;

/**
 * Why a column cannot be used as it is: `epoch` (times as numbers that are not read as times), `zoneless` (times
 * without a time zone), or `mixed` (values that no single type accepts).
 */
export type ColumnTrouble = 'epoch' | 'zoneless' | 'mixed';

/** The inferred type of a column, with counts over the sample. */
export interface ColumnProfile {
  readonly name: string;
  readonly type: ValueType;
  /** The number of records in which the column is null or missing. */
  readonly nulls: number;
  readonly distinct: number;
  readonly trouble: ColumnTrouble | null;
}

/** The type of a column is the first of these that accepts all of its values. */
const CANDIDATES: readonly ScalarType[] = ['BOOL', 'INT64', 'FLOAT64', 'TIMESTAMP', 'STRING'];
const TIME_NAME = /(?:^|_)(?:time|timestamp|ts|at|date|datetime|when)$|^(?:time|date)/;
const ZONELESS = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?$/;
/** 2000-01-01 and 2100-01-01, in seconds since 1970. */
const [FIRST_YEAR, LAST_YEAR] = [946_684_800, 4_102_444_800];

/** Returns true if a name suggests that its column holds instants. */
export function isTimeName(name: string): boolean {
  return TIME_NAME.test(name);
}

function isBetween(value: unknown, first: number, last: number): boolean {
  const number = typeof value === 'bigint' ? Number(value) : value;
  return typeof number === 'number' && number >= first && number <= last;
}

/** Text never fits INT64, although `readValue` would read its digits: `"00123"` is an identifier, not 123. */
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
  records: number,
  values: readonly unknown[],
  declared: ValueType | undefined,
  carried: boolean,
): ColumnProfile {
  const text = (value: unknown): string => (typeof value === 'object' ? JSON.stringify(value, bigText) : String(value));
  const found = { name, nulls: records - values.length, distinct: new Set(values.map(text)).size };
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
 * Returns the profiles of all columns of a sample, `declared` columns first, then in order of first occurrence.
 * `declared` are the columns with known types. `carried` is true if their carrier (a table, or a file with a schema)
 * holds only values of these types.
 */
export function profileColumns(
  records: readonly SampleRecord[],
  declared: readonly { readonly name: string; readonly type: ValueType }[] = [],
  carried = false,
): ColumnProfile[] {
  const types = new Map(declared.map(({ name, type }) => [name, type]));
  // One pass over the values that exist: records that share no names do not cost columns times records.
  const columns = new Map<string, unknown[]>(declared.map(({ name }) => [name, []]));
  for (const record of records) {
    for (const [name, value] of Object.entries(record)) {
      const values = columns.get(name) ?? [];
      columns.set(name, values);
      if (value !== null && value !== undefined) values.push(value);
    }
  }
  return [...columns].map(([name, values]) => profile(name, records.length, values, types.get(name), carried));
}
