/** Parquet, read and written one row group at a time. */
import { asyncBufferFromFile, type ColumnData, parquetMetadataAsync, parquetRead, type SchemaElement } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { elementType, type FeatureValue, type ScalarType, type ValueType } from '../definition/value-type.js';
import { type FileColumn, selectColumns, unusable } from './column-selection.js';
import type { TableColumn, TableReading, TableReadOptions, TableRow } from './table-schema.js';

const ELEMENTS: Record<ScalarType, Pick<SchemaElement, 'type' | 'converted_type' | 'logical_type'>> = {
  STRING: { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } },
  BOOL: { type: 'BOOLEAN' },
  INT32: { type: 'INT32' },
  INT64: { type: 'INT64' },
  FLOAT64: { type: 'DOUBLE' },
  TIMESTAMP: {
    type: 'INT64',
    converted_type: 'TIMESTAMP_MILLIS',
    logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'MILLIS' },
  },
};

function typeOfElement({ type, converted_type: converted, logical_type: logical }: SchemaElement): ValueType {
  if (logical?.type === 'TIMESTAMP' || converted?.startsWith('TIMESTAMP') || type === 'INT96') return 'TIMESTAMP';
  if (logical?.type === 'DATE' || converted === 'DATE') return 'TIMESTAMP';
  if (logical?.type === 'DECIMAL' || converted === 'DECIMAL') return 'FLOAT64';
  if (type === 'BOOLEAN') return 'BOOL';
  if (type === 'INT64') return 'INT64';
  if (type === 'INT32') return converted === 'UINT_32' ? 'INT64' : 'INT32';
  return type === 'FLOAT' || type === 'DOUBLE' ? 'FLOAT64' : 'STRING';
}

/** The columns of a file; of nested ones only lists of scalars. */
function fileColumns(elements: readonly SchemaElement[]): (FileColumn | null)[] {
  const columns: (FileColumn | null)[] = [];
  let at = 1;
  const skip = (): void => {
    const children = elements[at]?.num_children ?? 0;
    at += 1;
    for (let child = 0; child < children; child += 1) skip();
  };
  while (at < elements.length) {
    const element = elements[at]!;
    const start = at;
    skip();
    const inside = elements.slice(start + 1, at);
    const leaf = inside.at(-1);
    if (!element.num_children) columns.push({ name: element.name, inferred: typeOfElement(element) });
    else if (leaf && inside.filter((one) => !one.num_children).length === 1 && element.converted_type === 'LIST') {
      columns.push({ name: element.name, inferred: `${typeOfElement(leaf)}[]` as ValueType });
    } else columns.push(null);
  }
  return columns;
}

/** A value of a file as JSON has it: instants as milliseconds, decimals as numbers. */
function plain(value: unknown): unknown {
  if (value instanceof Date) return value.getTime();
  return Array.isArray(value) ? value.map(plain) : value;
}

/** Opens a Parquet file. Throws BAD_REQUEST. */
export async function readParquet(path: string, name: string, options: TableReadOptions): Promise<TableReading> {
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file).catch((error: unknown) => {
    throw unusable(`${name} is no Parquet: ${(error as Error).message}`, 'spine', error);
  });
  const found = fileColumns(metadata.schema);
  const columns = found.filter((column) => column !== null);
  const selection = selectColumns(name, columns, options);
  const size = options.batchSize ?? 10_000;
  async function* batches(): AsyncGenerator<readonly TableRow[]> {
    let first = 0;
    for (const group of metadata.row_groups) {
      const last = first + Number(group.num_rows);
      const data = new Map<string, unknown[]>(columns.map((column) => [column.name, []]));
      try {
        await parquetRead({
          file,
          metadata,
          compressors,
          columns: columns.map((column) => column.name),
          rowStart: first,
          rowEnd: last,
          onChunk: ({ columnName, columnData }: ColumnData) => {
            const list = data.get(columnName)!;
            for (const value of columnData) list.push(value);
          },
        });
      } catch (error) {
        throw unusable(`${name} cannot be read from row ${first + 1} on: ${(error as Error).message}`, 'spine', error);
      }
      const lists = columns.map((column) => data.get(column.name)!);
      for (let at = first; at < last; at += size) {
        const end = Math.min(last, at + size);
        yield Array.from({ length: end - at }, (_, row) => {
          const values = lists.map((list) => plain(list[at - first + row]));
          return selection.read(values, at + row + 1);
        });
      }
      first = last;
    }
  }
  return { schema: selection.schema, rowCount: Number(metadata.num_rows), batches, close: async () => {} };
}

/** The schema of a file with these columns, each of which may be null. */
function schemaOf(columns: readonly TableColumn[]): SchemaElement[] {
  const elements: SchemaElement[] = [{ name: 'root', num_children: columns.length }];
  for (const { name, type } of columns) {
    const element = elementType(type);
    if (!element) {
      elements.push({ name, repetition_type: 'OPTIONAL', ...ELEMENTS[type as ScalarType] });
      continue;
    }
    elements.push(
      { name, repetition_type: 'OPTIONAL', num_children: 1, converted_type: 'LIST', logical_type: { type: 'LIST' } },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      { name: 'element', repetition_type: 'OPTIONAL', ...ELEMENTS[element] },
    );
  }
  return elements;
}

function written(type: ScalarType, value: FeatureValue): unknown {
  return type === 'TIMESTAMP' && typeof value === 'number' ? new Date(value) : value;
}

/** Encodes row groups, one after the other. */
export class ParquetEncoder {
  readonly #columns: readonly TableColumn[];
  readonly #bytes = new ByteWriter();
  readonly #writer: ParquetWriter;

  constructor(columns: readonly TableColumn[]) {
    this.#columns = columns;
    this.#writer = new ParquetWriter({ writer: this.#bytes, schema: schemaOf(columns), createdBy: 'fstore' });
  }

  writeGroup(rows: readonly TableRow[]): Uint8Array {
    const columnData = this.#columns.map(({ name, type }, index) => {
      const element = elementType(type);
      const data = rows.map((row) => {
        const value = row[index] ?? null;
        if (!element || value === null) return written(type as ScalarType, value);
        return (value as readonly FeatureValue[]).map((item) => written(element, item));
      });
      return { name, data };
    });
    void this.#writer.write({ columnData, rowGroupSize: Math.max(1, rows.length) });
    return this.#take();
  }

  finish(): Uint8Array {
    void this.#writer.finish();
    return this.#take();
  }

  /** The bytes that were written since; offsets in the file go on. */
  #take(): Uint8Array {
    const fresh = this.#bytes.getBytes().slice();
    this.#bytes.index = 0;
    return fresh;
  }
}
