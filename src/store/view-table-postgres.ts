/**
 * The history table of one view version: its DDL, its statements, and the conversion of values.
 *
 * The table has a column for each join key and each feature, under their own names. A join key that has the name of a
 * feature is named `_key_…`. FStore adds three columns: `_event_time`, `_sequence` (order of arrival, unique) and
 * `_arrived_at`.
 */
import type { EntityKey } from '../definition/entity-key.js';
import { elementType, type ScalarType, type ValueType, valueToJson } from '../definition/value-type.js';
import type { ViewVersion } from '../definition/view-version.js';
import { FStoreError } from '../errors.js';
import { placeOf } from './aggregator-postgres.js';
import {
  BARE_TYPES,
  COLUMN_TYPES,
  columnType,
  instantOf,
  parseInstant,
  parseValue,
  stagedType,
} from './column-postgres.js';
import type { NewRow, PointInTimeOptions, StoredRow } from './offline-store.js';
import { askedKeys, isSameEntity, isVisible } from './point-in-time-postgres.js';
import { storedKeyName } from './stored-key.js';
import { describeTiles, type TileTable } from './tile-table-postgres.js';

/**
 * PostgreSQL keeps a row within a page of 8 kB. Values of varying length can move out, but up to 24 bytes of each stay.
 */
const MAX_ROW_BYTES = 8_160;
const MAX_COLUMNS = 1_600;
const WIDEST: Record<ScalarType, number> = { STRING: 24, BOOL: 1, INT32: 4, INT64: 8, FLOAT64: 8, TIMESTAMP: 8 };

/**
 * Throws DEFINITION_INVALID for a view whose rows could exceed PostgreSQL's limits. An event that made such a row could
 * never be written, and would block all later events.
 */
export function refuseTooWide(view: ViewVersion): void {
  const types = [...view.keys, ...view.columns].map(({ type }) =>
    elementType(type) ? 'STRING' : (type as ScalarType),
  );
  const columns = types.length + 3;
  let bytes = 24 + Math.ceil(columns / 64) * 8 + 3 * 8;
  for (const [index, type] of types.entries()) {
    // A number is aligned to its size, so there may be a gap after a column of another size.
    const gap = index > 0 && WIDEST[types[index - 1]!] !== WIDEST[type] && type !== 'STRING' ? WIDEST[type] - 1 : 0;
    bytes += WIDEST[type] + gap;
  }
  if (bytes <= MAX_ROW_BYTES && columns <= MAX_COLUMNS) return;
  const message = `view ${view.name} has ${view.columns.length} columns, whose values may take ${bytes} bytes of a row; PostgreSQL has room for ${MAX_ROW_BYTES}, in ${MAX_COLUMNS} columns: split the view`;
  throw new FStoreError('DEFINITION_INVALID', message, { field: 'features' });
}

/** The DDL and the statements of a view's table. */
export interface ViewTable {
  readonly view: ViewVersion;
  readonly ddl: string;
  /**
   * Inserts rows. $1 holds them as JSON, in the order of `_n`. In an aggregation view, $2 is the current time and $3
   * the table's name.
   */
  readonly insert: string;
  /**
   * Merges a staged batch of another engine. $1: stream, $2: epoch, $3: batch, $4: the table's name, $5: number of rows
   * in the batch.
   */
  readonly mergeStaged: string;
  /**
   * Returns the statement that reads values at past instants. Parameters: an array for each join key, then one of
   * instants. It answers in the order of the keys.
   */
  valuesAt(options: PointInTimeOptions): string;
  /** The tiles of an aggregation view; null for a row view. */
  readonly tiles: TileTable | null;
}

function fromStaged(name: string, type: ValueType): string {
  if (type === 'TIMESTAMP') return instantOf(name);
  if (type !== 'TIMESTAMP[]') return name;
  return `CASE WHEN ${name} IS NOT NULL THEN ARRAY(SELECT ${instantOf('v')} FROM unnest(${name}) WITH ORDINALITY AS l(v, o) ORDER BY o) END`;
}

/** Returns the names and statements of a view's table in `schema` (a quoted identifier). */
export function describeTable(schema: string, view: ViewVersion): ViewTable {
  const table = `${schema}."${view.table}"`;
  const keys = view.keys.map((key) => ({ name: `"${storedKeyName(view, key.name)}"`, type: key.type }));
  const stored = view.columns.map((one) => ({ name: `"${one.name}"`, type: one.type }));
  const columns = [...keys, ...stored];
  const keyNames = keys.map((key) => key.name).join(', ');
  const names = columns.map((column) => column.name).join(', ');
  const insert = `
      INSERT INTO ${table} (${names}, _event_time, _arrived_at)
      SELECT ${names}, _event_time, coalesce(_arrived_at, now())
      FROM json_to_recordset($1::json) AS t(_n integer, _event_time timestamptz, _arrived_at timestamptz, ${columns
        .map(({ name, type }) => `${name} ${columnType(type, BARE_TYPES)}`)
        .join(', ')})
      ORDER BY _n`;
  const tiles = view.aggregation ? describeTiles({ schema, table, view, keys, aggregation: view.aggregation }) : null;
  return {
    view,
    ddl: `
      CREATE TABLE IF NOT EXISTS ${table} (
        ${columns.map(({ name, type }, index) => `${name} ${columnType(type, COLUMN_TYPES)}${index < keys.length ? ' NOT NULL' : ''}`).join(', ')},
        _event_time timestamptz(3) NOT NULL,
        _sequence bigint GENERATED ALWAYS AS IDENTITY,
        _arrived_at timestamptz NOT NULL DEFAULT now()
      );
      CREATE INDEX IF NOT EXISTS "${view.table}_latest" ON ${table} (${keyNames}, _event_time DESC, _sequence DESC);
      ${tiles?.ddl ?? ''}`,
    insert: tiles ? tiles.mergeAfter(insert) : insert,
    mergeStaged: `
      WITH staged AS MATERIALIZED (
        SELECT kind, content::json AS content FROM ${schema}.staged_batches
        WHERE stream = $1 AND epoch = $2 AND batch = $3 AND view_table = $4
      ),
      places AS MATERIALIZED (
        SELECT array_agg(place ORDER BY place) AS at
        FROM (SELECT nextval(pg_get_serial_sequence('${table}', '_sequence')) AS place FROM generate_series(1, $5::integer)) AS p
      ),
      history AS (
        INSERT INTO ${table} (${names}, _event_time, _sequence, _arrived_at) OVERRIDING SYSTEM VALUE
        SELECT ${[...keys.map(({ name }) => name), ...stored.map(({ name, type }) => fromStaged(name, type))].join(', ')},
          ${instantOf('_ms')}, ${placeOf('_n')}, coalesce(${instantOf('_arrived')}, now())
        FROM staged CROSS JOIN LATERAL json_to_recordset(content) AS r(_n integer, _ms bigint, _arrived bigint, ${columns
          .map(({ name, type }) => `${name} ${stagedType(columnType(type, BARE_TYPES))}`)
          .join(', ')})
        WHERE kind = 'rows' ORDER BY _n
      )${tiles ? `, ${tiles.mergeStaged}` : ''}
      INSERT INTO ${schema}.due_rows (view_table, key_parts, event_time, sequence)
      SELECT $4, ARRAY[${keys.map(({ name }) => `${name}::text`).join(', ')}], ${instantOf('_ms')}, ${placeOf('_n')}
      FROM staged CROSS JOIN LATERAL json_to_recordset(content)
        AS r(_n integer, _ms bigint, ${keys.map(({ name, type }) => `${name} ${BARE_TYPES[type]}`).join(', ')})
      WHERE kind = 'due'`,
    valuesAt: (options) => {
      if (tiles) return tiles.valuesAt(options);
      const selected = [...stored.map(({ name }) => `r.${name}`), 'r._event_time', 'r._sequence'].join(', ');
      return `
      SELECT ${selected}
      FROM ${askedKeys(keys)}
      LEFT JOIN LATERAL (
        SELECT * FROM ${table} AS t
        WHERE ${isSameEntity(keys, 't')} AND ${isVisible('t', options)}
        ORDER BY t._event_time DESC, t._sequence DESC
        LIMIT 1
      ) AS r ON true
      ORDER BY k.n`;
    },
    tiles,
  };
}

/** Returns the key parameters of `valuesAt` and of the statements on tiles. */
export function keyArrays(view: ViewVersion, keys: readonly EntityKey[]): string[][] {
  return view.keys.map((_, index) => keys.map((key) => key.parts[index] ?? ''));
}

/** Returns the rows parameter of `insert`. `_n` keeps the order of arrival; no column of a view can have that name. */
export function rowsJson(view: ViewVersion, rows: readonly NewRow[]): string {
  return JSON.stringify(
    rows.map((row, _n) => {
      const record: Record<string, unknown> = { _n, _event_time: new Date(row.eventTime).toISOString() };
      if (row.arrivedAt !== undefined) record._arrived_at = new Date(row.arrivedAt).toISOString();
      for (const [index, key] of view.keys.entries()) record[storedKeyName(view, key.name)] = row.key.parts[index];
      for (const [index, feature] of view.columns.entries()) {
        record[feature.name] = valueToJson(feature.type, row.values[index] ?? null);
      }
      return record;
    }),
  );
}

/** Converts a record of `valuesAt` (row mode, raw text) to a row; null if there is none. */
export function parseRow(view: ViewVersion, record: readonly (string | null)[]): StoredRow | null {
  const time = record[view.columns.length];
  const sequence = record[view.columns.length + 1];
  if (time === null || time === undefined) return null;
  return {
    eventTime: parseInstant(time),
    sequence: Number(sequence),
    values: view.columns.map((feature, index) => parseValue(feature.type, record[index] ?? null)),
  };
}

/** Returns the distinct keys of rows, in order of first appearance. */
export function distinctKeys(rows: readonly { readonly key: EntityKey }[]): EntityKey[] {
  return [...new Map(rows.map(({ key }) => [key.text, key])).values()];
}
