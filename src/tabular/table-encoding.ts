/**
 * Encodes rows as CSV, NDJSON, Parquet and Arrow in the thread that calls it. Encoding blocks that thread.
 *
 * Invariants
 * 1. The same rows give the same bytes, in whatever batches they come: they are cut anew into groups.
 * 2. At most one group is held in memory: 50,000 rows, or fewer where they have many columns or long texts.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { elementType, type FeatureValue, type ValueType, valueToJson } from '../definition/value-type.js';
import { ArrowEncoder } from './arrow-table.js';
import { ParquetEncoder } from './parquet-encoder.js';
import { weightOf } from './row-batch.js';
import type { TableColumn, TableFormat, TableRow } from './table-schema.js';

const GROUP_ROWS = 50_000;
/** Values and characters of a group at most. */
const GROUP_VALUES = 5_000_000;
const GROUP_CHARACTERS = 64 * 1_048_576;

/** The bytes of groups of rows, in turn. */
interface GroupEncoder {
  begin(): Promise<Uint8Array>;
  group(rows: readonly TableRow[]): Promise<Uint8Array>;
  end(): Promise<Uint8Array>;
}

/** Creates a file of these columns, in place of one that is there. */
export async function createTableFile(
  path: string,
  format: TableFormat,
  schema: readonly TableColumn[],
): Promise<GroupedWriter> {
  const encoder = ENCODERS[format](schema);
  const file = await open(path, 'w');
  try {
    const writer = new GroupedWriter(file, encoder, schema.length);
    await writer.begin();
    return writer;
  } catch (error) {
    await file.close();
    throw error;
  }
}

class GroupedWriter {
  readonly #file: FileHandle;
  readonly #encoder: GroupEncoder;
  readonly #groupRows: number;
  #pending: TableRow[] = [];
  #weight = 0;
  #bytes = 0;

  constructor(file: FileHandle, encoder: GroupEncoder, columns: number) {
    this.#file = file;
    this.#encoder = encoder;
    this.#groupRows = Math.max(1, Math.min(GROUP_ROWS, Math.floor(GROUP_VALUES / Math.max(1, columns))));
  }

  async begin(): Promise<void> {
    await this.#append(await this.#encoder.begin());
  }

  async write(rows: readonly TableRow[]): Promise<void> {
    for (const row of rows) {
      this.#pending.push(row);
      this.#weight += weightOf(row);
      if (this.#pending.length >= this.#groupRows || this.#weight >= GROUP_CHARACTERS) await this.#flush();
    }
  }

  /** Finishes the file; returns its size in bytes. */
  async close(): Promise<{ readonly bytes: number }> {
    try {
      if (this.#pending.length > 0) await this.#flush();
      await this.#append(await this.#encoder.end());
      await this.#file.sync();
    } finally {
      await this.#file.close();
    }
    return { bytes: this.#bytes };
  }

  async #flush(): Promise<void> {
    const rows = this.#pending;
    this.#pending = [];
    this.#weight = 0;
    await this.#append(await this.#encoder.group(rows));
  }

  async #append(bytes: Uint8Array): Promise<void> {
    let written = 0;
    while (written < bytes.length) written += (await this.#file.write(bytes, written)).bytesWritten;
    this.#bytes += bytes.length;
  }
}

const NOTHING = new Uint8Array();

const ENCODERS: Record<TableFormat, (schema: readonly TableColumn[]) => GroupEncoder> = {
  csv: (schema) => ({
    begin: async () => Buffer.from(`${schema.map(({ name }) => quoted(name)).join(',')}\n`),
    group: async (rows) => Buffer.from(rows.map((row) => `${csvLine(schema, row)}\n`).join('')),
    end: async () => NOTHING,
  }),
  ndjson: (schema) => ({
    begin: async () => NOTHING,
    group: async (rows) => Buffer.from(rows.map((row) => `${jsonLine(schema, row)}\n`).join('')),
    end: async () => NOTHING,
  }),
  parquet: (schema) => {
    const encoder = new ParquetEncoder(schema);
    return {
      begin: async () => NOTHING,
      group: async (rows) => encoder.writeGroup(rows),
      end: async () => encoder.finish(),
    };
  },
  arrow: (schema) => {
    const encoder = new ArrowEncoder(schema);
    return {
      begin: async () => NOTHING,
      group: async (rows) => encoder.writeGroup(rows),
      end: async () => encoder.finish(),
    };
  },
};

/** A line of CSV (RFC 4180): nothing for null, quotes for an empty text, lists as JSON. */
function csvLine(schema: readonly TableColumn[], row: TableRow): string {
  return schema
    .map(({ type }, index) => {
      const value = row[index] ?? null;
      if (value === null) return '';
      return quoted(elementType(type) ? jsonText(type, value) : String(valueToJson(type, value)));
    })
    .join(',');
}

function quoted(text: string): string {
  return text === '' || /[",\r\n]/.test(text) || text.trim() !== text ? `"${text.replaceAll('"', '""')}"` : text;
}

function jsonLine(schema: readonly TableColumn[], row: TableRow): string {
  const fields = schema.map(({ name, type }, index) => `${JSON.stringify(name)}:${jsonText(type, row[index] ?? null)}`);
  return `{${fields.join(',')}}`;
}

/** JSON with integers as numbers, however long: a string would be another type. */
function jsonText(type: ValueType, value: FeatureValue): string {
  if (value === null) return 'null';
  if (typeof value === 'bigint') return value.toString();
  const element = elementType(type);
  if (element) return `[${(value as readonly FeatureValue[]).map((item) => jsonText(element, item)).join(',')}]`;
  return JSON.stringify(valueToJson(type, value));
}
