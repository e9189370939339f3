/** CSV (RFC 4180) with a header, read record by record. */
import type { ValueType } from '../definition/value-type.js';
import { checkColumnCount, type FileColumn, selectColumns } from './column-selection.js';
import { type CsvCell, CsvLimitError, CsvParser } from './csv-parser.js';
import { inBatches } from './row-batch.js';
import { readTexts, type TableFile } from './table-file.js';
import { TABLE_LIMITS, tooLarge, unusable } from './table-limit.js';
import type { TableReading, TableReadOptions, TableRow } from './table-schema.js';
import { type CellReader, INFERENCE_CHARACTERS, INFERENCE_ROWS, inferType, parseJson } from './type-inference.js';

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

/** The records of a file, in the lists in which they come. */
async function* readRecords(file: TableFile): AsyncGenerator<CsvCell[][]> {
  const parser = new CsvParser();
  const read = (text: string, last: boolean): CsvCell[][] => {
    parser.push(text, last);
    try {
      return [...parser.records()];
    } catch (error) {
      const { message } = error as Error;
      if (error instanceof CsvLimitError) throw tooLarge(`${file.name} ${message}`, file.field);
      if (error instanceof SyntaxError) throw unusable(`${file.name} is not valid CSV: ${message}`, file.field, error);
      throw error;
    }
  };
  for await (const text of readTexts(file)) yield read(text, false);
  yield read('', true);
}

/** Opens a CSV file with a header. Throws BAD_REQUEST or TABLE_TOO_LARGE. */
export async function readCsv(file: TableFile, options: TableReadOptions): Promise<TableReading> {
  const { name, field } = file;
  const lists = readRecords(file);
  const sample: CsvCell[][] = [];
  let ended = false;
  let characters = 0;
  while (!ended && sample.length <= INFERENCE_ROWS && characters < INFERENCE_CHARACTERS) {
    const { done, value } = await lists.next();
    ended = done === true;
    for (const record of value ?? []) {
      sample.push(record);
      for (const cell of record) characters += cell?.length ?? 0;
    }
  }
  const header = sample.shift();
  if (!header) throw unusable(`${name} is empty; its first line names the columns`, field);
  checkColumnCount(header.length, name, field);
  const declared = new Map(options.schema?.map(({ name: column, type }) => [column, type]));
  const columns = header.map((cell, index): FileColumn => {
    const column = cell ?? '';
    const known = declared.get(column);
    if (known !== undefined) return { name: column, inferred: known };
    const values = sample.slice(0, INFERENCE_ROWS).map((record) => record[index] ?? null);
    // A text such as 007 is not meant as a number.
    const isPadded = values.some((value) => value !== null && /^-?0\d/.test(value));
    return { name: column, inferred: isPadded ? 'STRING' : inferType(values, cellValue as CellReader) };
  });
  const selection = selectColumns(file, columns, options);
  const selected = selection.indexes.map((index) => ({ index, type: columns[index]!.inferred }));
  let row = 0;
  const read = (record: readonly CsvCell[]): TableRow => {
    row += 1;
    if (row > TABLE_LIMITS.rows) throw tooLarge(`${name} has more than ${TABLE_LIMITS.rows} rows`, field);
    if (record.length !== header.length) {
      throw unusable(`${name}, row ${row} has ${record.length} cells, the header has ${header.length}`, field);
    }
    return selection.read(
      selected.map(({ index, type }) => cellValue(record[index]!, type)),
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
    batches: () => inBatches(records(), read, options.batchSize ?? 1_000),
    close: () => file.handle.close(),
  };
}
