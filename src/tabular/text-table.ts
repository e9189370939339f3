/** CSV (RFC 4180) and NDJSON: tables as text, read line by line. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { parse } from 'csv-parse';
import { isLosslessNumber, parse as parseLossless } from 'lossless-json';
import { readValue, type ValueType } from '../definition/value-type.js';
import { type FileColumn, selectColumns, unusable } from './column-selection.js';
import type { TableReading, TableReadOptions, TableRow } from './table-schema.js';

/** Rows that are looked at to tell what columns hold. */
const SAMPLE = 1_000;
/** The first of these that fits every value of a column is its type. */
const CANDIDATES: readonly ValueType[] = ['BOOL', 'INT64', 'FLOAT64', 'TIMESTAMP', 'STRING'];

interface CsvField {
  readonly text: string;
  readonly quoted: boolean;
}

/** The JSON form of a cell: an empty one is null, unless it is quoted and its column is text. */
function cellValue({ text, quoted }: CsvField, type: ValueType): unknown {
  if (text === '' && !(quoted && type === 'STRING')) return null;
  if (type === 'STRING') return text;
  if (type === 'BOOL') return /^true$/i.test(text) ? true : /^false$/i.test(text) ? false : text;
  if (type === 'INT64') return text;
  if (type === 'TIMESTAMP') return /^-?\d+$/.test(text) ? Number(text) : text;
  if (type.endsWith('[]')) return parseJson(text);
  return text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
}

function parseJson(text: string): unknown {
  try {
    return parseLossless(text, null, { parseNumber: reviveNumber });
  } catch {
    return text;
  }
}

function reviveNumber(text: string): number | bigint {
  const number = Number(text);
  return /^-?\d+$/.test(text) && !Number.isSafeInteger(number) ? BigInt(text) : number;
}

function inferType(values: readonly unknown[], read: (value: unknown, type: ValueType) => unknown): ValueType {
  const present = values.filter((value) => read(value, 'FLOAT64') !== null);
  if (present.length === 0) return 'STRING';
  return CANDIDATES.find((type) => present.every((value) => readValue(type, read(value, type)).ok)) ?? 'STRING';
}

/** Opens a CSV file with a header. Throws BAD_REQUEST. */
export async function readCsv(path: string, name: string, options: TableReadOptions): Promise<TableReading> {
  const stream = createReadStream(path);
  const parser = stream.pipe(
    parse({
      bom: true,
      relax_column_count: true,
      skip_empty_lines: true,
      cast: (text, { quoting }) => ({ text, quoted: quoting }),
    }),
  );
  stream.on('error', (error) => parser.destroy(error));
  const records = parser[Symbol.asyncIterator]() as AsyncIterator<CsvField[]>;
  const next = async (): Promise<CsvField[] | null> => {
    try {
      const { done, value } = await records.next();
      return done ? null : value;
    } catch (error) {
      throw unusable(`${name} is no CSV: ${(error as Error).message}`, 'spine', error);
    }
  };
  const header = await next();
  if (!header) throw unusable(`${name} is empty; its first line names the columns`, 'spine');
  const sample: CsvField[][] = [];
  for (let record = await next(); record; record = sample.length < SAMPLE ? await next() : null) sample.push(record);
  const declared = new Map(options.schema?.map(({ name: column, type }) => [column, type]));
  const columns = header.map(({ text }, index): FileColumn => {
    const values = sample.map((record) => record[index] ?? { text: '', quoted: false });
    return {
      name: text,
      inferred: declared.get(text) ?? inferType(values, (cell, type) => cellValue(cell as CsvField, type)),
    };
  });
  const selection = selectColumns(name, columns, options);
  let row = 0;
  const read = (record: readonly CsvField[]): TableRow => {
    row += 1;
    if (record.length !== header.length) {
      const message = `${name}, row ${row} has ${record.length} cells, the header has ${header.length}`;
      throw unusable(message, 'spine');
    }
    return selection.read(
      record.map((cell, index) => cellValue(cell, columns[index]!.inferred)),
      row,
    );
  };
  return {
    schema: selection.schema,
    rowCount: null,
    batches: () => inBatches(sample, next, read, options.batchSize),
    close: async () => {
      stream.destroy();
      parser.destroy();
    },
  };
}

/** Opens a file of JSON objects, one a line. Throws BAD_REQUEST. */
export async function readNdjson(path: string, name: string, options: TableReadOptions): Promise<TableReading> {
  const stream = createReadStream(path, 'utf8');
  const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })[Symbol.asyncIterator]();
  let line = 0;
  const next = async (): Promise<Record<string, unknown> | null> => {
    for (;;) {
      const { done, value } = await lines.next();
      if (done) return null;
      line += 1;
      if (value.trim() === '') continue;
      const parsed = parseJson(value);
      if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed) || isLosslessNumber(parsed)) {
        throw unusable(`${name}, line ${line} is no JSON object`, 'spine');
      }
      return parsed as Record<string, unknown>;
    }
  };
  const sample: Record<string, unknown>[] = [];
  for (let record = await next(); record; record = sample.length < SAMPLE ? await next() : null) sample.push(record);
  const names = [...new Set(sample.flatMap((record) => Object.keys(record)))];
  const columns = names.map((column): FileColumn => {
    const values = sample.map((record) => record[column] ?? null);
    return { name: column, inferred: inferType(values, (value) => value) };
  });
  const declared = (options.schema ?? []).filter((one) => sample.length === 0 && !names.includes(one.name));
  const all = [...columns, ...declared.map((one): FileColumn => ({ name: one.name, inferred: one.type }))];
  const selection = selectColumns(name, all, options);
  let row = 0;
  const read = (record: Record<string, unknown>): TableRow => {
    row += 1;
    return selection.read(
      all.map((column) => record[column.name]),
      row,
    );
  };
  return {
    schema: selection.schema,
    rowCount: null,
    batches: () => inBatches(sample, next, read, options.batchSize),
    close: async () => void stream.destroy(),
  };
}

async function* inBatches<T>(
  sample: readonly T[],
  next: () => Promise<T | null>,
  read: (record: T) => TableRow,
  size = 1_000,
): AsyncGenerator<readonly TableRow[]> {
  let batch: TableRow[] = [];
  for (const record of sample) {
    batch.push(read(record));
    if (batch.length >= size) {
      yield batch;
      batch = [];
    }
  }
  if (sample.length >= SAMPLE) {
    for (let record = await next(); record; record = await next()) {
      batch.push(read(record));
      if (batch.length >= size) {
        yield batch;
        batch = [];
      }
    }
  }
  if (batch.length > 0) yield batch;
}
