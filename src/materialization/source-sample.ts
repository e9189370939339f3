/**
 * Reads sample records from a topic, a file, or a SELECT in the offline store, whether a source declares them or not.
 */
import { basename, extname } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { EventBus } from '../bus/event-bus.js';
import { TABLE_NAME } from '../definition/batch-input.js';
import type { SampleRecord } from '../definition/column-profile.js';
import { finding, type SourceFinding, type SourceInput } from '../definition/source-draft.js';
import { type FeatureValue, valueToJson } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';
import type { QueryReader } from '../store/query-reader.js';
import { TABLE_LIMITS, tooLarge } from '../tabular/table-limit.js';
import { formatOfName, readTable, readTextLines } from '../tabular/table-reader.js';
import type { TableColumn, TableFormat, TableReadOptions } from '../tabular/table-schema.js';
import { parseEventJson } from './event-decoder.js';
import type { PayloadFormat } from './payload-format.js';
import { busTopic } from './source-contract.js';

/** Sample records of a source's data. */
export interface SourceSample {
  /** Where the records are from, as text. */
  readonly origin: string;
  /** The name of the data at its origin. */
  readonly title: string;
  readonly input: SourceInput;
  readonly records: readonly SampleRecord[];
  /** Columns whose types are known. */
  readonly columns: readonly TableColumn[];
  /** Whether the data has a schema of its own. */
  readonly typed: boolean;
  /** The unchanged messages of a topic. */
  readonly payloads: readonly Buffer[];
  readonly findings: readonly SourceFinding[];
}

/** Runs `work`; converts BAD_REQUEST to SOURCE_UNREADABLE. */
async function readable<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof FStoreError) || error.code !== 'BAD_REQUEST') throw error;
    throw new FStoreError('SOURCE_UNREADABLE', error.message, error.location, [], { cause: error });
  }
}

function recordOf(columns: readonly TableColumn[], row: readonly FeatureValue[]): SampleRecord {
  const value = (index: number): unknown => {
    const item = row[index] ?? null;
    return typeof item === 'bigint' ? item : valueToJson(columns[index]!.type, item);
  };
  return Object.fromEntries(columns.map(({ name }, index) => [name, value(index)]));
}

function objectOf(value: unknown): SampleRecord | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as SampleRecord) : null;
}

/** Returns the JSON value that a payload represents, or null if it cannot be read. */
export function parsePayload(payload: Buffer, format: PayloadFormat | null): unknown {
  try {
    return format ? format.read(payload) : parseEventJson(payload.toString('utf8'));
  } catch {
    return null;
  }
}

/** What a sample may hold: after this many values or characters no more records are taken. */
const SAMPLE_VALUES = 500_000;
const SAMPLE_CHARACTERS = 8_388_608;

/** Where a file of a sample is, as a reader takes it. */
type Place = Pick<TableReadOptions, 'within' | 'field'>;

async function readLines(path: string, count: number, place: Place): Promise<SampleRecord[]> {
  const records: SampleRecord[] = [];
  const names = new Set<string>();
  let characters = 0;
  for await (const lines of readTextLines(path, place)) {
    for (const { text, number } of lines) {
      if (records.length >= count || characters >= SAMPLE_CHARACTERS) return records;
      const record = objectOf(parsePayload(Buffer.from(text), null));
      if (!record) {
        throw new FStoreError('SOURCE_UNREADABLE', `${basename(path)}, line ${number} is not a JSON object`);
      }
      for (const name of Object.keys(record)) names.add(name);
      if (names.size > TABLE_LIMITS.columns) {
        const message = `${basename(path)} has more than ${TABLE_LIMITS.columns} different field names up to line ${number}`;
        throw tooLarge(message, place.field ?? 'file');
      }
      records.push(record);
      characters += text.length;
    }
    await setImmediate();
  }
  return records;
}

async function readRows(path: string, format: TableFormat, count: number, place: Place) {
  const table = await readTable(path, { format, batchSize: Math.min(count, 1_000), ...place });
  const most = Math.min(count, Math.max(1, Math.floor(SAMPLE_VALUES / Math.max(1, table.schema.length))));
  const records: SampleRecord[] = [];
  let characters = 0;
  try {
    for await (const rows of table.batches()) {
      for (const row of rows) {
        if (records.length >= most || characters >= SAMPLE_CHARACTERS) break;
        for (const value of row) if (typeof value === 'string') characters += value.length;
        records.push(recordOf(table.schema, row));
      }
      if (records.length >= most || characters >= SAMPLE_CHARACTERS) break;
    }
  } finally {
    await table.close();
  }
  return { records, columns: table.schema };
}

/**
 * Reads the first `count` rows of a file, or fewer where they are large. `written` is the file's path as in a definition. Throws
 * SOURCE_UNREADABLE or TABLE_TOO_LARGE.
 */
export async function sampleFile(
  path: string,
  written: string,
  count: number,
  given: TableFormat | null = null,
  place: Place = { field: 'file' },
): Promise<SourceSample> {
  const format = given ?? formatOfName(path);
  const title = basename(written, extname(written));
  return readable(async () => {
    // Throws the reason if the file does not exist or has no known format.
    if (!format) await readTable(path, place);
    const kind = format ?? 'csv';
    const { records, columns } =
      kind === 'ndjson'
        ? { records: await readLines(path, count, place), columns: [] }
        : await readRows(path, kind, count, place);
    const typed = kind === 'parquet' || kind === 'arrow';
    const input = { batch: { [kind]: written } };
    return { origin: `${kind} file ${written}`, title, input, records, columns, typed, payloads: [], findings: [] };
  });
}

/** Reads the first `count` rows of a SELECT or of a table. Throws SOURCE_UNREADABLE and the errors of QueryReader. */
export async function sampleQuery(
  queries: QueryReader,
  batch: { readonly table: string } | { readonly query: string },
  count: number,
): Promise<SourceSample> {
  const isTable = 'table' in batch;
  const origin = isTable ? `table ${batch.table} of PostgreSQL` : 'a query of PostgreSQL';
  const query = isTable ? `SELECT * FROM ${quoted(batch.table)}` : batch.query.replace(/[\s;]+$/, '');
  const from = isTable ? batch.table : (/\bfrom\s+"?([\w.]+)/i.exec(query)?.[1] ?? 'rows');
  const title = from.split('.').at(-1) ?? from;
  const records: SampleRecord[] = [];
  let columns: readonly TableColumn[] = [];
  await readable(() =>
    queries.read(query, { rows: count }, async ({ schema, batches }) => {
      columns = schema;
      for await (const rows of batches) for (const row of rows) records.push(recordOf(schema, row));
    }),
  );
  return {
    origin,
    title,
    input: { batch: isTable ? batch : { query } },
    records,
    columns,
    typed: true,
    payloads: [],
    findings: [],
  };
}

/** Returns the name of a table in a definition as SQL. Throws SOURCE_UNREADABLE. */
function quoted(table: string): string {
  if (!TABLE_NAME.test(table)) {
    throw new FStoreError('SOURCE_UNREADABLE', `${JSON.stringify(table.slice(0, 80))} is not table or schema.table`, {
      field: 'table',
    });
  }
  return table
    .split('.')
    .map((part) => `"${part}"`)
    .join('.');
}

/**
 * Reads the newest `count` messages of a source's topic. If that is empty, reads the topic without the project's
 * prefix, in case producers write there. Throws SOURCE_UNREADABLE if neither topic exists, and
 * SCHEMA_REGISTRY_UNAVAILABLE.
 */
export async function sampleTopic(
  bus: EventBus,
  project: string,
  topic: string,
  count: number,
  format: PayloadFormat | null = null,
): Promise<SourceSample> {
  const own = busTopic(project, topic);
  const findings: SourceFinding[] = [];
  let messages = await bus.peek(own, count);
  if (messages === null || messages.length === 0) {
    const plain = await bus.peek(topic, count);
    if (plain === null && messages === null) {
      throw new FStoreError('SOURCE_UNREADABLE', `the event bus has neither a topic ${own} nor ${topic}`, {
        field: 'topic',
      });
    }
    if (plain && plain.length > 0) {
      messages = plain;
      const message = `the sample is of topic ${topic}; sources of this project take events from topic ${own}`;
      findings.push(finding('error', 'TOPIC_UNKNOWN', message));
    }
  }
  const payloads = (messages ?? []).map(({ value }) => value);
  await format?.prepare(payloads);
  const records = payloads.map((payload) => objectOf(parsePayload(payload, format)));
  const others = records.filter((record) => record === null).length;
  if (others > 0) {
    const what = format ? 'Avro of their schema' : 'JSON objects';
    const message = `${others} of ${records.length} messages are no ${what}, and become dead letters`;
    // A zero byte and a schema id; no text begins like that.
    const isAvro = !format && payloads.some((payload) => payload.length > 5 && payload[0] === 0);
    const hint = isAvro ? '; they look like Avro: declare the source with `stream: { format: avro }`' : '';
    findings.push(finding('error', 'EVENT_MALFORMED', `${message}${hint}`, { count: others }));
  }
  return {
    origin: `topic ${findings.some(({ code }) => code === 'TOPIC_UNKNOWN') ? topic : own} of the event bus`,
    title: topic.replace(/^.*\./, ''),
    input: { stream: { topic } },
    records: records.filter((record) => record !== null),
    columns: [],
    typed: false,
    payloads,
    findings,
  };
}
