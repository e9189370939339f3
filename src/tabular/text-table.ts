/** CSV (RFC 4180) and NDJSON: tables as text, read line by line. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { isLosslessNumber, parse as parseLossless } from 'lossless-json';
import { readValue, type ScalarType, type ValueType } from '../definition/value-type.js';
import { type FileColumn, selectColumns, unusable } from './column-selection.js';
import { type CsvCell, CsvParser } from './csv-parser.js';
import type { TableReading, TableReadOptions, TableRow } from './table-schema.js';

/** Rows that are looked at to tell what columns hold. */
const SAMPLE = 1_000;
/** The first of these that fits every value of a column is its type. */
const CANDIDATES: readonly ValueType[] = ['BOOL', 'INT64', 'FLOAT64', 'TIMESTAMP', 'STRING'];

/** The JSON form of a cell; an empty text is null for every type but text. */
function cellValue(cell: CsvCell, type: ValueType): unknown {
  if (cell === null || type === 'STRING') return cell;
  if (cell === '') return null;
  if (type === 'BOOL') return /^true$/i.test(cell) ? true : /^false$/i.test(cell) ? false : cell;
  if (type === 'INT64') return cell;
  if (type === 'TIMESTAMP') return /^-?\d+$/.test(cell) ? Number(cell) : cell;
  if (type.endsWith('[]')) return parseJson(cell);
  const number = Number(cell);
  return Number.isFinite(number) && cell.trim() !== '' ? number : cell;
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

type CellReader = (value: unknown, type: ValueType) => unknown;

function inferType(values: readonly unknown[], read: CellReader): ValueType {
  const present = values.filter((value) => read(value, 'FLOAT64') !== null);
  if (present.length === 0) return 'STRING';
  if (present.every((value) => Array.isArray(value))) {
    const items = (present as unknown[][]).flat();
    return `${inferType(items, (item) => item) as ScalarType}[]`;
  }
  return CANDIDATES.find((type) => present.every((value) => readValue(type, read(value, type)).ok)) ?? 'STRING';
}

/** The records of a CSV file, in the lists in which they come. */
async function* csvRecords(path: string, name: string): AsyncGenerator<CsvCell[][]> {
  const parser = new CsvParser();
  const stream = createReadStream(path, { encoding: 'utf8', highWaterMark: 1 << 18 });
  let first = true;
  const read = (text: string, last: boolean): CsvCell[][] => {
    parser.push(first ? text.replace(/^\uFEFF/, '') : text, last);
    first = false;
    try {
      return [...parser.records()];
    } catch (error) {
      throw unusable(`${name} is no CSV: ${(error as Error).message}`, 'spine', error);
    }
  };
  for await (const chunk of stream) yield read(chunk as string, false);
  yield read('', true);
}

/** Opens a CSV file with a header. Throws BAD_REQUEST. */
export async function readCsv(path: string, name: string, options: TableReadOptions): Promise<TableReading> {
  const lists = csvRecords(path, name);
  const sample: CsvCell[][] = [];
  let ended = false;
  while (!ended && sample.length <= SAMPLE) {
    const { done, value } = await lists.next();
    ended = done === true;
    for (const record of value ?? []) sample.push(record);
  }
  const header = sample.shift();
  if (!header) throw unusable(`${name} is empty; its first line names the columns`, 'spine');
  const declared = new Map(options.schema?.map(({ name: column, type }) => [column, type]));
  const columns = header.map((cell, index): FileColumn => {
    const column = cell ?? '';
    const values = sample.slice(0, SAMPLE).map((record) => record[index] ?? null);
    // 007 is no number to whoever wrote it.
    const isPadded = values.some((cell) => cell !== null && /^-?0\d/.test(cell));
    const inferred = isPadded ? 'STRING' : inferType(values, cellValue as CellReader);
    return { name: column, inferred: declared.get(column) ?? inferred };
  });
  const selection = selectColumns(name, columns, options);
  let row = 0;
  const read = (record: readonly CsvCell[]): TableRow => {
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
  async function* records(): AsyncGenerator<CsvCell[][]> {
    yield sample;
    if (!ended) yield* lists;
  }
  return {
    schema: selection.schema,
    rowCount: null,
    batches: () => inBatches(records(), read, options.batchSize),
    close: async () => void (await lists.return(undefined)),
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
  async function* records(): AsyncGenerator<Record<string, unknown>[]> {
    yield sample;
    if (sample.length < SAMPLE) return;
    for (let record = await next(); record; record = await next()) yield [record];
  }
  return {
    schema: selection.schema,
    rowCount: null,
    batches: () => inBatches(records(), read, options.batchSize),
    close: async () => void stream.destroy(),
  };
}

async function* inBatches<T>(
  lists: AsyncIterable<readonly T[]>,
  read: (record: T) => TableRow,
  size = 1_000,
): AsyncGenerator<readonly TableRow[]> {
  let batch: TableRow[] = [];
  for await (const list of lists) {
    for (const record of list) {
      batch.push(read(record));
      if (batch.length >= size) {
        yield batch;
        batch = [];
      }
    }
  }
  if (batch.length > 0) yield batch;
}
