/** Rows of any statement of PostgreSQL as typed values. */
import type pg from 'pg';
import { type FeatureValue, readValue, type ValueType, valueToJson } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';
import { parseValue } from './column-postgres.js';
import type { TextRow } from './portal-postgres.js';

/** Types of PostgreSQL (by OID) as value types; anything else is taken as text. */
const TYPES: Readonly<Record<number, ValueType>> = {
  16: 'BOOL',
  20: 'INT64',
  21: 'INT32',
  23: 'INT32',
  700: 'FLOAT64',
  701: 'FLOAT64',
  1700: 'FLOAT64',
  1082: 'TIMESTAMP',
  1114: 'TIMESTAMP',
  1184: 'TIMESTAMP',
  1009: 'STRING[]',
  1015: 'STRING[]',
  1016: 'INT64[]',
  1007: 'INT32[]',
  1022: 'FLOAT64[]',
};

/** A column of a result. */
export interface ResultColumn {
  readonly name: string;
  readonly type: ValueType;
}

/** The columns of a result, each with the value type that is nearest to its type. */
export function resultColumns(fields: readonly pg.FieldDef[]): ResultColumn[] {
  return fields.map(({ name, dataTypeID }) => ({ name, type: TYPES[dataTypeID] ?? 'STRING' }));
}

/**
 * Makes what reads rows of `columns`, one after the other, as values of `declared` columns.
 * Throws BAD_REQUEST for a declared column that is not there or is there twice; its function, for a value of another type.
 */
export function rowReader(
  columns: readonly ResultColumn[],
  declared: readonly ResultColumn[] = columns,
): (row: TextRow) => FeatureValue[] {
  const places =
    declared === columns ? columns.map((_, index) => index) : declared.map(({ name }) => placeOf(columns, name));
  let count = 0;
  return (row) => {
    count += 1;
    return declared.map(({ name, type }, index) => {
      const found = columns[places[index]!]!.type;
      try {
        const value = parseValue(found, instantText(found, row[places[index]!] ?? null));
        if (type === found) return value;
        const checked = readValue(type, valueToJson(found, value));
        if (checked.ok) return checked.value;
      } catch {
        // A null in a list, an infinite time: nothing that a value type has.
      }
      // The message does not contain the value, because the client may not be allowed to see it.
      throw new FStoreError('BAD_REQUEST', `row ${count}, column ${name} holds a value that is not ${type}`, {
        field: name,
      });
    });
  };
}

function placeOf(columns: readonly ResultColumn[], name: string): number {
  const places = columns.flatMap((column, index) => (column.name === name ? [index] : []));
  if (places.length === 1) return places[0]!;
  const message = places.length === 0 ? `has no column ${name}` : `has ${places.length} columns ${name}`;
  throw new FStoreError('BAD_REQUEST', `the query ${message}`, { field: name });
}

/** Dates and times without a zone are taken as UTC. */
function instantText(type: ValueType, text: string | null): string | null {
  if (type !== 'TIMESTAMP' || text === null) return text;
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) return `${text} 00:00:00+00`;
  return /[+-]\d{2}(?::?\d{2})?$/.test(text) ? text : `${text}+00`;
}
