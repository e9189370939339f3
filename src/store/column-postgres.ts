/** Columns of PostgreSQL: the column type of each value type, and values from PostgreSQL's text. */
import type { CustomTypesConfig } from 'pg';
import {
  elementType,
  type FeatureValue,
  type ScalarType,
  type ScalarValue,
  type ValueType,
} from '../definition/value-type.js';

/** The column type of each scalar type. */
export const COLUMN_TYPES: Record<ScalarType, string> = {
  // Compared byte by byte, like all texts in FStore, which is faster than comparing by locale.
  STRING: 'text COLLATE "C"',
  BOOL: 'boolean',
  INT32: 'integer',
  INT64: 'bigint',
  FLOAT64: 'double precision',
  TIMESTAMP: 'timestamptz(3)',
};
/** The same without collations, for parameters. */
export const BARE_TYPES: Record<ScalarType, string> = { ...COLUMN_TYPES, STRING: 'text' };

/** Returns the column type of a value type, given those of scalars. */
export function columnType(type: ValueType, types: Record<ScalarType, string>): string {
  const element = elementType(type);
  return element ? `${BARE_TYPES[element]}[]` : types[type as ScalarType];
}

/** Returns the type in which values of a column are staged as JSON: milliseconds for instants, and no collations. */
export function stagedType(column: string): string {
  return column.replace(BARE_TYPES.TIMESTAMP, 'bigint').replace(COLUMN_TYPES.STRING, BARE_TYPES.STRING);
}

/** Returns an SQL expression for the instant of milliseconds since 1970. */
export const instantOf = (milliseconds: string): string => `to_timestamp(${milliseconds} / 1000.0)`;

/** Leaves values as text: they are parsed by the type that the view declares, not by PostgreSQL's type. */
export const RAW_TEXT: CustomTypesConfig = { getTypeParser: () => (text: string) => text };

/** Parses a scalar from PostgreSQL's text. */
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

/**
 * Parses `2026-01-31 12:00:00.5+00` to milliseconds since 1970. Throws if the session is not in UTC, instead of
 * shifting times.
 */
export function parseInstant(text: string): number {
  const time = Date.parse(text.replace(' ', 'T').replace(/\+00$/, 'Z'));
  if (Number.isNaN(time)) throw new Error(`PostgreSQL gave an instant in a form that is not expected: ${text}`);
  return time;
}

/** Returns the elements of a one-dimensional array without nulls from PostgreSQL's text. */
function parseArray(text: string): string[] {
  const items: string[] = [];
  const pattern = /"([^"\\]*(?:\\.[^"\\]*)*)"|([^,{}]+)/g;
  for (const match of text.slice(1, -1).matchAll(pattern)) {
    items.push(match[1] === undefined ? (match[2] ?? '') : match[1].replace(/\\(.)/g, '$1'));
  }
  return items;
}

/** Parses a value from PostgreSQL's text. */
export function parseValue(type: ValueType, text: string | null): FeatureValue {
  if (text === null) return null;
  const element = elementType(type);
  return element ? parseArray(text).map((item) => parseScalar(element, item)) : parseScalar(type as ScalarType, text);
}
