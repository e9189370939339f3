/** Reads Parquet some rows at a time, from one page of each column. */
import {
  type FileMetaData,
  parquetMetadata,
  parquetSchema,
  type RowGroup,
  type SchemaElement,
  type SchemaTree,
} from 'hyparquet';
import type { ValueType } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';
import { checkColumnCount, type FileColumn, selectColumns } from './column-selection.js';
import { OpenPages, ParquetColumn } from './parquet-column.js';
import { inBatches } from './row-batch.js';
import { readBytes, type TableFile } from './table-file.js';
import { shownText, TABLE_LIMITS, tooLarge, unusable } from './table-limit.js';
import type { TableReading, TableReadOptions, TableRow } from './table-schema.js';

/** Values that are taken from the columns at a time. */
const SLICE_VALUES = 50_000;
/** Elements of the schema below a column that is a list: the list, its items and one more level that some writers add. */
const LIST_DEPTH = 4;

function typeOfElement({ type, converted_type: converted, logical_type: logical }: SchemaElement): ValueType {
  if (logical?.type === 'TIMESTAMP' || converted?.startsWith('TIMESTAMP') || type === 'INT96') return 'TIMESTAMP';
  if (logical?.type === 'DATE' || converted === 'DATE') return 'TIMESTAMP';
  if (logical?.type === 'DECIMAL' || converted === 'DECIMAL') return 'FLOAT64';
  if (type === 'BOOLEAN') return 'BOOL';
  if (type === 'INT64') return 'INT64';
  if (type === 'INT32') return converted === 'UINT_32' ? 'INT64' : 'INT32';
  return type === 'FLOAT' || type === 'DOUBLE' ? 'FLOAT64' : 'STRING';
}

/** The columns of a file; null for nested ones that are not lists of scalars. */
function fileColumns(elements: readonly SchemaElement[]): (FileColumn | null)[] {
  const columns: (FileColumn | null)[] = [];
  let at = 1;
  while (at < elements.length) {
    const element = elements[at]!;
    const start = at;
    // As many elements belong to it as its children, their children and so on say.
    for (let open = 1; open > 0 && at < elements.length; at += 1) open += (elements[at]!.num_children ?? 0) - 1;
    const inside = elements.slice(start + 1, at);
    const leaf = inside.at(-1);
    const isList = inside.length <= LIST_DEPTH && element.converted_type === 'LIST';
    if (!element.num_children) columns.push({ name: element.name, inferred: typeOfElement(element) });
    else if (leaf && isList && inside.filter((one) => !one.num_children).length === 1) {
      columns.push({ name: element.name, inferred: `${typeOfElement(leaf)}[]` as ValueType });
    } else columns.push(null);
  }
  return columns;
}

/** A value of a file as JSON has it: instants as milliseconds. */
function plain(value: unknown): unknown {
  if (value instanceof Date) return value.getTime();
  return Array.isArray(value) ? value.map(plain) : value;
}

/** Reads the footer. Throws TABLE_TOO_LARGE, or Error where it is damaged. */
function readFooter(file: TableFile): FileMetaData {
  const { name, field, size } = file;
  const end = readBytes(file, Math.max(0, size - 8), 8);
  if (end.length < 8) throw new Error('it is too short');
  const length = new DataView(end.buffer).getUint32(0, true);
  const { footer, rows } = TABLE_LIMITS;
  if (length > footer && length <= size - 8) throw tooLarge(`${name} has a footer of more than ${footer} bytes`, field);
  const bytes = readBytes(file, Math.max(0, size - 8 - Math.min(length, footer)), Math.min(length, footer) + 8);
  const metadata = parquetMetadata(bytes as unknown as ArrayBuffer, { geoparquet: false });
  const count = metadata.row_groups.reduce((sum, group) => sum + Number(group.num_rows), 0);
  if (!(count >= 0)) throw new Error('it has a damaged footer');
  if (count > rows || metadata.num_rows > rows) throw tooLarge(`${name} has more than ${rows} rows`, field);
  return metadata;
}

/** Opens a Parquet file. Throws BAD_REQUEST or TABLE_TOO_LARGE. */
export async function readParquet(file: TableFile, options: TableReadOptions): Promise<TableReading> {
  let metadata: FileMetaData;
  try {
    metadata = readFooter(file);
    checkColumnCount(metadata.schema.length > 1 ? (metadata.schema[0]!.num_children ?? 0) : 0, file.name, file.field);
  } catch (error) {
    throw refusal(file, 'is not a Parquet file', error);
  }
  const columns = fileColumns(metadata.schema).filter((column) => column !== null);
  const selection = selectColumns(file, columns, options);
  let row = 0;
  function* rows(): Generator<(readonly unknown[])[]> {
    try {
      const paths = schemaPaths(metadata, new Set(selection.schema.map(({ name }) => name)));
      for (const group of metadata.row_groups) yield* rowsOfGroup(file, group, paths);
    } catch (error) {
      throw refusal(file, `cannot be read from row ${row + 1} on`, error);
    }
  }
  const read = (values: readonly unknown[]): TableRow => {
    row += 1;
    return selection.read(values, row);
  };
  return {
    schema: selection.schema,
    rowCount: Number(metadata.num_rows),
    batches: () => inBatches(rows(), read, options.batchSize ?? 10_000),
    close: () => file.handle.close(),
  };
}

/** Of each of these columns the elements of the schema from the root to its values. */
function schemaPaths(metadata: FileMetaData, names: ReadonlySet<string>): SchemaTree[][] {
  const root = parquetSchema(metadata);
  return root.children
    .filter(({ element }) => names.has(element.name))
    .map((top) => {
      const path = [root, top];
      for (let child = top.children[0]; child; child = child.children[0]) path.push(child);
      return path;
    });
}

function* rowsOfGroup(
  file: TableFile,
  group: RowGroup,
  paths: readonly SchemaTree[][],
): Generator<(readonly unknown[])[]> {
  const chunks = new Map(group.columns.map(({ meta_data: data }) => [data?.path_in_schema[0], data]));
  const open = new OpenPages(file);
  const columns = paths.map((path) => {
    const { name } = path[1]!.element;
    const chunk = chunks.get(name);
    if (!chunk) throw new Error(`a row group has no column ${shownText(name)}`);
    return new ParquetColumn(file, open, path, chunk);
  });
  const count = Number(group.num_rows);
  const slice = Math.max(1, Math.floor(SLICE_VALUES / Math.max(1, columns.length)));
  for (let done = 0; done < count; done += slice) {
    const length = Math.min(slice, count - done);
    const lists = columns.map((column) => column.take(length));
    yield Array.from({ length }, (_, at) => lists.map((list) => plain(list[at])));
  }
}

function refusal({ name, field }: TableFile, what: string, error: unknown): FStoreError {
  if (error instanceof FStoreError) return error;
  return unusable(`${name} ${what}: ${shownText((error as Error).message)}`, field, error);
}
