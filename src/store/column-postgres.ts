/** Columns of PostgreSQL: the type of each value type, and values from their text. */
import type { CustomTypesConfig } from 'pg';
import {
  elementType,
  type FeatureValue,
  type ScalarType,
  type ScalarValue,
  type ValueType,
} from '../definition/value-type.js';

export const COLUMN_TYPES: Record<ScalarType, string> = {
  // Compared byte by byte, as everywhere in FStore, and faster than by a locale.
  STRING: 'text COLLATE "C"',
  BOOL: 'boolean',
  INT32: 'integer',
  INT64: 'bigint',
  FLOAT64: 'double precision',
  TIMESTAMP: 'timestamptz(3)',
};
/** The same without collations, for parameters. */
export const BARE_TYPES: Record<ScalarType, string> = { ...COLUMN_TYPES, STRING: 'text' };

/** The column type of a value type, with names of scalars as in `types`. */
export function columnType(type: ValueType, types: Record<ScalarType, string>): string {
  const element = elementType(type);
  return element ? `${BARE_TYPES[element]}[]` : types[type as ScalarType];
}

/** The column type in which a value of a column is staged as JSON: instants are milliseconds, and nothing has a collation. */
export function stagedType(column: string): string {
  return column.replace(BARE_TYPES.TIMESTAMP, 'bigint').replace(COLUMN_TYPES.STRING, BARE_TYPES.STRING);
}

/** The instant of milliseconds since 1970, an expression. */
export const instantOf = (milliseconds: string): string => `to_timestamp(${milliseconds} / 1000.0)`;

/** Text as it came: values are read by the type that the view declares, not by PostgreSQL's. */
export const RAW_TEXT: CustomTypesConfig = { getTypeParser: () => (text: string) => text };

/** A scalar from PostgreSQL's text. */
export function parseScalar(type: ScalarType, text: string): ScalarValue {
  switch (type) {
    case 'STRING':
      return text;
    case 'BOOL':
      return text === 't';
    case 'INT64':
      return BigInt(text);
    case 'TIMESTAMP':
      return parseInstant(text);
    default:
      return Number(text);
  }
}

/** `2026-01-31 12:00:00.5+00` as milliseconds since 1970. A session that is not in UTC fails, rather than shift times. */
export function parseInstant(text: string): number {
  const time = Date.parse(text.replace(' ', 'T').replace(/\+00$/, 'Z'));
  if (Number.isNaN(time)) throw new Error(`PostgreSQL gave an instant in a form that is not expected: ${text}`);
  return time;
}

/** The elements of PostgreSQL's text form of a one-dimensional array without nulls. */
function parseArray(text: string): string[] {
  const items: string[] = [];
  const pattern = /"([^"\\]*(?:\\.[^"\\]*)*)"|([^,{}]+)/g;
  for (const match of text.slice(1, -1).matchAll(pattern)) {
    items.push(match[1] === undefined ? (match[2] ?? '') : match[1].replace(/\\(.)/g, '$1'));
  }
  return items;
}

/** A value from PostgreSQL's text. */
export function parseValue(type: ValueType, text: string | null): FeatureValue {
  if (text === null) return null;
  const element = elementType(type);
  return element ? parseArray(text).map((item) => parseScalar(element, item)) : parseScalar(type as ScalarType, text);
}
