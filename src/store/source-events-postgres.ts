/** The events of a source as the rows of a spine. */
import type pg from 'pg';
import type { SourceMeaning } from '../definition/definition-record.js';
import { elementType, type ScalarType } from '../definition/value-type.js';
import { BARE_TYPES } from './column-postgres.js';
import { parseStatement, readPages } from './portal-postgres.js';
import type { RowTable } from './query-reader.js';
import { resultColumns, rowReader } from './text-row-postgres.js';

/** $1: the source, $2: its timestamp column, from $3: its columns. */
function eventsStatement(schema: string, columns: SourceMeaning['schema']): string {
  const selected = Object.entries(columns).map(([name, type], index) => {
    const field = `$${index + 3}::text`;
    const element = elementType(type);
    const value = element
      ? `(SELECT array_agg(item::${BARE_TYPES[element]}) FROM json_array_elements_text(payload->${field}) AS item)`
      : `(payload->>${field})::${BARE_TYPES[type as ScalarType]}`;
    return `${value} AS "${name}"`;
  });
  return `SELECT ${selected.join(', ')} FROM ${schema}.event_log WHERE source = $1
    AND payload->>$2::text IS NOT NULL ORDER BY topic, partition, "offset"`;
}

/** Hands the events of a source, in the order in which they were taken in, to `take`, within the transaction of `client`. */
export async function readSourceEvents(
  client: pg.PoolClient,
  schema: string,
  source: string,
  { schema: columns, timestamp }: SourceMeaning,
  take: (table: RowTable) => Promise<void>,
): Promise<void> {
  const found = resultColumns(await parseStatement(client, eventsStatement(schema, columns)));
  const read = rowReader(found);
  async function* batches(): RowTable['batches'] {
    for await (const page of readPages(client, [source, timestamp, ...Object.keys(columns)])) yield page.map(read);
  }
  await take({ schema: found, batches: batches() });
}
