/**
 * Writes files of rows: CSV, NDJSON, Parquet and Arrow.
 *
 * Invariants
 * 1. The same rows give the same bytes, in whatever batches they come: they are cut anew into groups of one size.
 * 2. At most one group is held in memory.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { elementType, type FeatureValue, type ValueType, valueToJson } from '../definition/value-type.js';
import { ArrowEncoder } from './arrow-table.js';
import { ParquetEncoder } from './parquet-table.js';
import type { TableColumn, TableFormat, TableRow } from './table-schema.js';

const GROUP_ROWS = 50_000;

export interface TableWriter {
  write(rows: readonly TableRow[]): Promise<void>;
  /** Finishes the file; returns its size in bytes. */
  close(): Promise<{ readonly bytes: number }>;
}

/** The bytes of groups of rows, in turn. */
interface GroupEncoder {
  begin(): Promise<Uint8Array>;
  group(rows: readonly TableRow[]): Promise<Uint8Array>;
  end(): Promise<Uint8Array>;
}

/** Creates a file of these columns, in place of one that is there. */
export async function openTableWriter(
  path: string,
  format: TableFormat,
  schema: readonly TableColumn[],
): Promise<TableWriter> {
  const encoder = ENCODERS[format](schema);
  const file = await open(path, 'w');
  try {
    const writer = new GroupedWriter(file, encoder);
    await writer.begin();
    return writer;
  } catch (error) {
    await file.close();
    throw error;
  }
}

class GroupedWriter implements TableWriter {
  readonly #file: FileHandle;
  readonly #encoder: GroupEncoder;
  #pending: TableRow[] = [];
  #bytes = 0;

  constructor(file: FileHandle, encoder: GroupEncoder) {
    this.#file = file;
    this.#encoder = encoder;
  }

  async begin(): Promise<void> {
    await this.#append(await this.#encoder.begin());
  }

  async write(rows: readonly TableRow[]): Promise<void> {
    let taken = 0;
    while (taken < rows.length) {
      const more = rows.slice(taken, taken + GROUP_ROWS - this.#pending.length);
      for (const row of more) this.#pending.push(row);
      taken += more.length;
      if (this.#pending.length === GROUP_ROWS) await this.#flush();
    }
  }

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
