/** NDJSON: one JSON object a line. */
import { isLosslessNumber } from 'lossless-json';
import { checkColumnCount, type FileColumn, selectColumns } from './column-selection.js';
import { inBatches } from './row-batch.js';
import { readTexts, type TableFile } from './table-file.js';
import { TABLE_LIMITS, tooLarge, unusable } from './table-limit.js';
import type { TableReading, TableReadOptions, TableRow } from './table-schema.js';
import { INFERENCE_CHARACTERS, INFERENCE_ROWS, inferType, nestingOf, parseJson } from './type-inference.js';

/** A line of a file, with its number from 1. */
export interface TextLine {
  readonly number: number;
  readonly text: string;
}

/** The lines of a file that are not blank, in the lists in which they come. Throws TABLE_TOO_LARGE, BAD_REQUEST. */
export async function* readLines(file: TableFile): AsyncGenerator<TextLine[]> {
  let rest: string[] = [];
  let restLength = 0;
  let number = 0;
  const checked = (text: string): TextLine | null => {
    number += 1;
    checkLength(text.length);
    if (text.trim() === '') return null;
    if (nestingOf(text) > TABLE_LIMITS.depth) {
      const limit = `lists and objects nest at most ${TABLE_LIMITS.depth} deep`;
      throw unusable(`${file.name}, line ${number} is nested too deeply: ${limit}`, file.field);
    }
    return { number, text };
  };
  const checkLength = (length: number): void => {
    const { record } = TABLE_LIMITS;
    const where = `${file.name}, line ${Math.max(1, number)}`;
    if (length > record) throw tooLarge(`${where} has more than ${record} characters`, file.field);
  };
  for await (const text of readTexts(file)) {
    const lines = text.split(/\r?\n/);
    const last = lines.pop()!;
    const found: TextLine[] = [];
    for (const line of lines) {
      const whole = rest.length > 0 ? rest.join('') + line : line;
      rest = [];
      restLength = 0;
      const one = checked(whole.endsWith('\r') ? whole.slice(0, -1) : whole);
      if (one) found.push(one);
    }
    rest.push(last);
    restLength += last.length;
    checkLength(restLength);
    yield found;
  }
  const one = checked(rest.join(''));
  if (one) yield [one];
}

type JsonRecord = Record<string, unknown>;

function parseRecord({ text, number }: TextLine, { name, field }: TableFile): JsonRecord {
  const parsed = parseJson(text);
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed) || isLosslessNumber(parsed)) {
    throw unusable(`${name}, line ${number} is not a JSON object`, field);
  }
  return parsed as JsonRecord;
}

/** Opens a file of JSON objects, one a line. Throws BAD_REQUEST or TABLE_TOO_LARGE. */
export async function readNdjson(file: TableFile, options: TableReadOptions): Promise<TableReading> {
  const { name, field } = file;
  const lists = readLines(file);
  const sample: TextLine[] = [];
  let ended = false;
  let characters = 0;
  while (!ended && sample.length < INFERENCE_ROWS && characters < INFERENCE_CHARACTERS) {
    const { done, value } = await lists.next();
    ended = done === true;
    for (const line of value ?? []) {
      sample.push(line);
      characters += line.text.length;
    }
  }
  // One pass over the fields that occur: a record may have few of many columns.
  const found = new Map<string, unknown[]>();
  for (const line of sample.slice(0, INFERENCE_ROWS)) {
    for (const [column, value] of Object.entries(parseRecord(line, file))) {
      const values = found.get(column);
      if (values) values.push(value);
      else found.set(column, [value]);
    }
    checkColumnCount(found.size, name, field);
  }
  const columns = [...found].map(([column, values]): FileColumn => {
    return { name: column, inferred: inferType(values, (value) => value ?? null) };
  });
  // A file without records has the columns that are declared.
  const added = sample.length > 0 ? [] : (options.schema ?? []);
  const all = [...columns, ...added.map((one): FileColumn => ({ name: one.name, inferred: one.type }))];
  const selection = selectColumns(file, all, options);
  const selected = selection.schema.map((column) => column.name);
  let row = 0;
  const read = (line: TextLine): TableRow => {
    const record = parseRecord(line, file);
    row += 1;
    if (row > TABLE_LIMITS.rows) throw tooLarge(`${name} has more than ${TABLE_LIMITS.rows} rows`, field);
    return selection.read(
      selected.map((column) => (Object.hasOwn(record, column) ? record[column] : null)),
      row,
    );
  };
  async function* lines(): AsyncGenerator<TextLine[]> {
    yield sample;
    if (!ended) yield* lists;
  }
  return {
    schema: selection.schema,
    rowCount: null,
    batches: () => inBatches(lines(), read, options.batchSize ?? 1_000),
    close: () => file.handle.close(),
  };
}
