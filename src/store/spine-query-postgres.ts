/** Reads spines from PostgreSQL through a cursor: the rows of a SELECT, or the events of a source. */
import type pg from 'pg';
import type { SourceMeaning } from '../definition/definition-record.js';
import {
  elementType,
  type FeatureValue,
  readValue,
  type ScalarType,
  type ValueType,
  valueToJson,
} from '../definition/value-type.js';
import { FStoreError } from '../errors.js';
import { BARE_TYPES, parseValue, RAW_TEXT } from './column-postgres.js';
import type { SpineTable } from './offline-store.js';

const PAGE = 5_000;

/** Value types of PostgreSQL's types (by OID). All other types are read as text. */
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

/** Returns a SELECT of all events of a source, ordered by topic, partition and offset. */
export function eventsQuery(schema: string, source: string, { schema: columns, timestamp }: SourceMeaning): string {
  const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`;
  const selected = Object.entries(columns).map(([name, type]) => {
    const element = elementType(type);
    const value = element
      ? `(SELECT array_agg(item::${BARE_TYPES[element]}) FROM json_array_elements_text(payload->${quote(name)}) AS item)`
      : `(payload->>${quote(name)})::${BARE_TYPES[type as ScalarType]}`;
    return `${value} AS "${name}"`;
  });
  return `SELECT ${selected.join(', ')} FROM ${schema}.event_log WHERE source = ${quote(source)}
    AND payload->>${quote(timestamp)} IS NOT NULL ORDER BY topic, partition, "offset"`;
}

/**
 * Runs a SELECT in a read-only transaction and passes its rows to `take`, page by page. Throws BAD_REQUEST for a query
 * that PostgreSQL refuses.
 */
export async function readSpine(
  client: pg.PoolClient,
  query: string,
  take: (table: SpineTable) => Promise<void>,
  declared?: readonly ValueType[],
): Promise<void> {
  await client.query('SET TRANSACTION READ ONLY');
  await asked(() => client.query(`DECLARE spine NO SCROLL CURSOR FOR ${query}`));
  async function* pages(): AsyncGenerator<pg.QueryArrayResult<(string | null)[]>> {
    for (;;) {
      const page = await asked(() =>
        client.query<(string | null)[]>({ text: `FETCH ${PAGE} FROM spine`, rowMode: 'array', types: RAW_TEXT }),
      );
      yield page;
      if (page.rows.length < PAGE) return;
    }
  }
  const all = pages();
  const { value } = await all.next();
  const first = value as pg.QueryArrayResult<(string | null)[]> | undefined;
  const fields: readonly pg.FieldDef[] = first?.fields ?? [];
  const types = fields.map(({ dataTypeID }): ValueType => TYPES[dataTypeID] ?? 'STRING');
  let count = 0;
  const read = (row: (string | null)[]): FeatureValue[] => {
    count += 1;
    return row.map((text, index) => {
      const value = parseValue(types[index]!, instantText(types[index]!, text));
      const type = declared?.[index] ?? types[index]!;
      if (type === types[index]) return value;
      const checked = readValue(type, valueToJson(types[index]!, value));
      if (checked.ok) return checked.value;
      const { name } = fields[index]!;
      throw new FStoreError('BAD_REQUEST', `row ${count}, column ${name} is ${type}: ${checked.reason}`, {
        field: name,
      });
    });
  };
  async function* batches(): AsyncGenerator<FeatureValue[][]> {
    if (first) yield first.rows.map(read);
    for await (const page of all) yield page.rows.map(read);
  }
  await take({ schema: fields.map(({ name }, index) => ({ name, type: types[index]! })), batches: batches() });
}

/** Interprets dates and times without a zone as UTC. */
function instantText(type: ValueType, text: string | null): string | null {
  if (type !== 'TIMESTAMP' || text === null) return text;
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) return `${text} 00:00:00+00`;
  return /[+-]\d{2}(?::?\d{2})?$/.test(text) ? text : `${text}+00`;
}

/** Converts PostgreSQL's errors about the query to BAD_REQUEST, because the author of the query can fix them. */
async function asked<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    if (!code || !/^(?:0[0-9A]|2[0-9]|3[4D]|42)/.test(code)) throw error;
    throw new FStoreError('BAD_REQUEST', `PostgreSQL refuses the query of the spine: ${message}`, { field: 'spine' });
  }
}
