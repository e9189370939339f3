/**
 * The history table of one view version: its DDL, its statements, and how values travel to and from it.
 *
 * A view's table has a column for each join key and each feature, under their own names (`_key_…` for a join key whose name
 * a feature has), and three of FStore's: `_event_time`, `_sequence` (order of arrival, unique) and `_arrived_at`.
 */
import type { CustomTypesConfig } from 'pg';
import type { EntityKey } from '../definition/entity-key.js';
import {
  elementType,
  type FeatureValue,
  type ScalarType,
  type ScalarValue,
  type ValueType,
  valueToJson,
} from '../definition/value-type.js';
import type { ViewVersion } from '../definition/view-version.js';
import { FStoreError } from '../errors.js';
import type { NewRow, StoredRow } from './offline-store.js';

const COLUMN_TYPES: Record<ScalarType, string> = {
  // Compared byte by byte, as everywhere in FStore, and faster than by a locale.
  STRING: 'text COLLATE "C"',
  BOOL: 'boolean',
  INT32: 'integer',
  INT64: 'bigint',
  FLOAT64: 'double precision',
  TIMESTAMP: 'timestamptz(3)',
};
const BARE_TYPES: Record<ScalarType, string> = { ...COLUMN_TYPES, STRING: 'text' };

function columnType(type: ValueType, types: Record<ScalarType, string>): string {
  const element = elementType(type);
  return element ? `${BARE_TYPES[element]}[]` : types[type as ScalarType];
}

/** Text as it came: values are read by the type that the view declares, not by PostgreSQL's. */
export const RAW_TEXT: CustomTypesConfig = { getTypeParser: () => (text: string) => text };

/** PostgreSQL keeps a row in a page of 8 kB; columns of varying length can move out, but up to 24 bytes of each stay. */
const MAX_ROW_BYTES = 8_160;
const MAX_COLUMNS = 1_600;
const WIDEST: Record<ScalarType, number> = { STRING: 24, BOOL: 1, INT32: 4, INT64: 8, FLOAT64: 8, TIMESTAMP: 8 };

/**
 * Throws DEFINITION_INVALID for a view that some event could make too wide a row for: such an event could never be
 * written, and would hold up all that come after it.
 */
export function refuseTooWide(view: ViewVersion): void {
  const types = [...view.keys, ...view.features].map(({ type }) =>
    elementType(type) ? 'STRING' : (type as ScalarType),
  );
  const columns = types.length + 3;
  let bytes = 24 + Math.ceil(columns / 64) * 8 + 3 * 8;
  for (const [index, type] of types.entries()) {
    // A number begins at a multiple of its size: after a column of another size there may be a gap.
    const gap = index > 0 && WIDEST[types[index - 1]!] !== WIDEST[type] && type !== 'STRING' ? WIDEST[type] - 1 : 0;
    bytes += WIDEST[type] + gap;
  }
  if (bytes <= MAX_ROW_BYTES && columns <= MAX_COLUMNS) return;
  const message = `view ${view.name} has ${view.features.length} features, whose values may take ${bytes} bytes of a row; PostgreSQL has room for ${MAX_ROW_BYTES}, in ${MAX_COLUMNS} columns: split the view`;
  throw new FStoreError('DEFINITION_INVALID', message, { field: 'features' });
}

export interface ViewTable {
  readonly view: ViewVersion;
  readonly ddl: string;
  /** $1: rows as JSON. Rows arrive in the order of `_n`. */
  readonly insert: string;
  /** $1…$k: one array for each join key; then the instant. Answers in the order of the keys. */
  readonly valuesAt: string;
}

function keyColumn(view: ViewVersion, key: string): string {
  return view.features.some((feature) => feature.name === key) ? `_key_${key}` : key;
}

/** The names and statements of a view's table in `schema` (a quoted identifier). */
export function describeTable(schema: string, view: ViewVersion): ViewTable {
  const table = `${schema}."${view.table}"`;
  const keys = view.keys.map((key) => ({ name: `"${keyColumn(view, key.name)}"`, type: key.type }));
  const features = view.features.map((feature) => ({ name: `"${feature.name}"`, type: feature.type }));
  const columns = [...keys, ...features];
  const keyNames = keys.map((key) => key.name).join(', ');
  const names = columns.map((column) => column.name).join(', ');
  const selected = [...features.map(({ name }) => `r.${name}`), 'r._event_time', 'r._sequence'].join(', ');
  return {
    view,
    ddl: `
      CREATE TABLE IF NOT EXISTS ${table} (
        ${keys.map(({ name, type }) => `${name} ${columnType(type, COLUMN_TYPES)} NOT NULL`).join(', ')},
        ${features.map(({ name, type }) => `${name} ${columnType(type, COLUMN_TYPES)}`).join(', ')},
        _event_time timestamptz(3) NOT NULL,
        _sequence bigint GENERATED ALWAYS AS IDENTITY,
        _arrived_at timestamptz NOT NULL DEFAULT now()
      );
      CREATE INDEX IF NOT EXISTS "${view.table}_latest" ON ${table} (${keyNames}, _event_time DESC, _sequence DESC);`,
    insert: `
      INSERT INTO ${table} (${names}, _event_time)
      SELECT ${names}, _event_time
      FROM json_to_recordset($1::json) AS t(_n integer, _event_time timestamptz, ${columns
        .map(({ name, type }) => `${name} ${columnType(type, BARE_TYPES)}`)
        .join(', ')})
      ORDER BY _n`,
    valuesAt: `
      SELECT ${selected}
      FROM unnest(${keys.map(({ type }, index) => `$${index + 1}::${BARE_TYPES[type]}[]`).join(', ')})
        WITH ORDINALITY AS k(${keys.map((_, index) => `k${index}`).join(', ')}, n)
      LEFT JOIN LATERAL (
        SELECT * FROM ${table} AS t
        WHERE ${keys.map(({ name }, index) => `t.${name} = k.k${index}`).join(' AND ')}
          AND t._event_time <= $${keys.length + 1}::timestamptz
        ORDER BY t._event_time DESC, t._sequence DESC
        LIMIT 1
      ) AS r ON true
      ORDER BY k.n`,
  };
}

/** The parameters of `valuesAt`. */
export function keyArrays(view: ViewVersion, keys: readonly EntityKey[]): string[][] {
  return view.keys.map((_, index) => keys.map((key) => key.parts[index] ?? ''));
}

/** The rows parameter of `insert`; `_n`, a name that no column of a view can have, keeps their order of arrival. */
export function rowsJson(view: ViewVersion, rows: readonly NewRow[]): string {
  return JSON.stringify(
    rows.map((row, _n) => {
      const record: Record<string, unknown> = { _n, _event_time: new Date(row.eventTime).toISOString() };
      for (const [index, key] of view.keys.entries()) record[keyColumn(view, key.name)] = row.key.parts[index];
      for (const [index, feature] of view.features.entries()) {
        record[feature.name] = valueToJson(feature.type, row.values[index] ?? null);
      }
      return record;
    }),
  );
}

function parseScalar(type: ScalarType, text: string): ScalarValue {
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
function parseInstant(text: string): number {
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

function parseValue(type: ValueType, text: string | null): FeatureValue {
  if (text === null) return null;
  const element = elementType(type);
  return element ? parseArray(text).map((item) => parseScalar(element, item)) : parseScalar(type as ScalarType, text);
}

/** Reads a record of `valuesAt` (row mode, raw text). */
export function parseRow(view: ViewVersion, record: readonly (string | null)[]): StoredRow | null {
  const time = record[view.features.length];
  const sequence = record[view.features.length + 1];
  if (time === null || time === undefined) return null;
  return {
    eventTime: parseInstant(time),
    sequence: Number(sequence),
    values: view.features.map((feature, index) => parseValue(feature.type, record[index] ?? null)),
  };
}

/** The distinct keys of rows, in order of first appearance. */
export function distinctKeys(rows: readonly { readonly key: EntityKey }[]): EntityKey[] {
  return [...new Map(rows.map(({ key }) => [key.text, key])).values()];
}
