/** Compares a sample with the definition of its source. */
import type { ColumnProfile, SampleRecord } from '../definition/column-profile.js';
import type { SourceMeaning } from '../definition/definition-record.js';
import { finding, isUsableName, type SourceFinding } from '../definition/source-draft.js';
import { type FeatureValue, valueToJson } from '../definition/value-type.js';
import { ERRORS, type ErrorCode, FStoreError } from '../errors.js';
import type { QueryReader } from '../store/query-reader.js';
import { readTable } from '../tabular/table-reader.js';
import { type LocalBatch, pathWithin } from './batch-path.js';
import { checkEvent } from './event-decoder.js';
import type { SourceContract } from './source-contract.js';

/** At most this many issues are reported for one event. */
const MAX_TROUBLES = 20;

/** Rows of a batch as a materialization reads them. `refused` is the error at which it would stop, or null. */
export interface DeclaredRows {
  readonly rows: readonly SampleRecord[];
  readonly refused: string | null;
}

/** Reads at most `count` rows as a materialization would. */
export async function readDeclared(
  { schema }: SourceMeaning,
  batch: LocalBatch,
  count: number,
  { queries, folder }: { readonly queries: QueryReader; readonly folder: string },
): Promise<DeclaredRows> {
  const columns = Object.entries(schema).map(([name, type]) => ({ name, type }));
  const rows: SampleRecord[] = [];
  /** How rows whose columns are in this order are taken, until there are enough. */
  const taker = (order: readonly { readonly name: string }[]) => {
    const places = new Map(order.map(({ name }, index) => [name, index]));
    const found = columns.map(({ name, type }) => ({ name, type, index: places.get(name) ?? -1 }));
    return (values: readonly FeatureValue[]): void => {
      if (rows.length >= count) return;
      rows.push(
        Object.fromEntries(found.map(({ name, type, index }) => [name, valueToJson(type, values[index] ?? null)])),
      );
    };
  };
  try {
    if ('query' in batch) {
      const take = taker(columns);
      await queries.read(batch.query, { columns, rows: count }, async ({ batches }) => {
        for await (const page of batches) for (const row of page) take(row);
      });
      return { rows, refused: null };
    }
    // One row at a time, so that the rows before a refused one are known.
    const options = { format: batch.format, schema: columns, batchSize: 1, within: folder, field: 'batch' };
    const table = await readTable(pathWithin(folder, batch.path, batch.format), options);
    const take = taker(table.schema);
    try {
      for await (const page of table.batches()) {
        for (const row of page) take(row);
        if (rows.length >= count) break;
      }
    } finally {
      await table.close();
    }
    return { rows, refused: null };
  } catch (error) {
    if (!(error instanceof FStoreError)) throw error;
    if (error.code !== 'BAD_REQUEST' && error.code !== 'TABLE_TOO_LARGE') throw error;
    return { rows, refused: error.message };
  }
}

/**
 * Returns which events would be dead letters, and why. Unlike the decoder, it reports all issues of an event, not only
 * the first.
 */
export function compareEvents(
  contract: SourceContract,
  events: readonly unknown[],
  now: number,
): { unusable: number; findings: SourceFinding[] } {
  const found = new Map<string, { code: ErrorCode; field: string | null; message: string; count: number }>();
  let unusable = 0;
  for (const event of events) {
    const troubles = troublesOf(event, contract, now);
    if (troubles.length > 0) unusable += 1;
    for (const { code, field, message } of troubles) {
      const id = `${code} ${field}`;
      const known = found.get(id) ?? { code, field, message, count: 0 };
      found.set(id, { ...known, count: known.count + 1 });
    }
  }
  const findings = [...found.values()]
    // Malformed events are already reported, counted over all messages.
    .filter(({ code }) => code !== 'EVENT_MALFORMED')
    .map(({ code, field, message, count }) => {
      const text = `${count} of ${events.length} would be dead letters: ${message}`;
      return finding('error', code, text, { count, ...(field === null ? {} : { column: field }) });
    });
  return { unusable, findings };
}

/** Returns all issues of an event: removes each field at fault and checks the rest again. */
function troublesOf(event: unknown, contract: SourceContract, now: number) {
  const troubles: { code: ErrorCode; field: string | null; message: string }[] = [];
  let rest = event;
  while (troubles.length < MAX_TROUBLES) {
    const checked = checkEvent(rest, contract, now);
    if (checked.ok) break;
    const { code, field, message } = checked.error;
    troubles.push({ code, field, message });
    if ((code !== 'EVENT_FIELD_UNKNOWN' && code !== 'EVENT_FIELD_TYPE') || field === null) break;
    // Without its event time or key an event is unusable, whatever its other fields contain.
    if (field === contract.meaning.timestamp || contract.keyColumns.includes(field)) break;
    const { [field]: _, ...others } = rest as Record<string, unknown>;
    rest = others;
  }
  return troubles;
}

/** Returns declared columns that do not occur and, for a batch, columns that occur and are not declared. */
export function compareColumns(
  schema: Readonly<Record<string, string>>,
  columns: readonly ColumnProfile[],
  isBatch: boolean,
): SourceFinding[] {
  const names = new Set(columns.map(({ name }) => name));
  const lost = Object.keys(schema).filter((name) => !names.has(name));
  const extra = isBatch ? columns.filter(({ name }) => !Object.hasOwn(schema, name)) : [];
  return [
    ...lost.map((column) => {
      const message = `the data has no column ${column}`;
      return finding(isBatch ? 'error' : 'warning', 'COLUMN_MISSING', message, { column });
    }),
    ...extra.map(({ name }) => {
      const cure = isUsableName(name) ? 'Add it to the schema if it is wanted.' : ERRORS.COLUMN_NAME_INVALID.cure;
      return finding('warning', 'EVENT_FIELD_UNKNOWN', `column ${name} is not declared, and left out`, {
        column: name,
        cure,
      });
    }),
  ];
}
