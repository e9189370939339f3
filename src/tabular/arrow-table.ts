/** Arrow IPC (the file format, also known as Feather V2), read and written one record batch at a time. */
import type { FileHandle } from 'node:fs/promises';
import {
  Bool,
  type Data,
  type DataType,
  Field,
  Float64,
  Int32,
  Int64,
  List,
  makeData,
  RecordBatch,
  RecordBatchFileWriter,
  RecordBatchReader,
  Schema,
  Struct,
  TimestampMillisecond,
  Type,
  Utf8,
  util,
} from 'apache-arrow';
import { elementType, type FeatureValue, type ScalarType, type ValueType } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';
import { checkColumnCount, type FileColumn, selectColumns } from './column-selection.js';
import { inBatches } from './row-batch.js';
import type { TableFile } from './table-file.js';
import { shownText, TABLE_LIMITS, tooLarge, unusable } from './table-limit.js';
import type { TableColumn, TableReading, TableReadOptions, TableRow } from './table-schema.js';

/** Rows that are decoded at a time. */
const SLICE_ROWS = 256;

function typeOfArrow(type: DataType): ValueType {
  switch (type.typeId) {
    case Type.Bool:
      return 'BOOL';
    case Type.Int:
      return (type as Int32).bitWidth < 64 && (type as Int32).isSigned ? 'INT32' : 'INT64';
    case Type.Float:
    case Type.Decimal:
      return 'FLOAT64';
    case Type.Timestamp:
    case Type.Date:
      return 'TIMESTAMP';
    case Type.List: {
      const item = typeOfArrow((type as List).children[0]!.type);
      // Lists of lists are no type of a feature; their values are refused as texts.
      return elementType(item) ? 'STRING' : (`${item}[]` as ValueType);
    }
    default:
      return 'STRING';
  }
}

/** A value of a vector as JSON has it. */
function plain(value: unknown, type: ValueType): unknown {
  if (value === null || value === undefined) return null;
  const element = elementType(type);
  if (element) return Array.from(value as Iterable<unknown>, (item) => plain(item, element));
  if (value instanceof Date) return value.getTime();
  if (type === 'TIMESTAMP') return Number(value);
  return type === 'STRING' || typeof value !== 'object' ? value : Number(value);
}

/** The file as the library reads it: in pieces that are limited. The library allocates first, which costs no memory until it reads. */
function limitedHandle({ handle, name, field }: TableFile): FileHandle {
  const read: unknown = (buffer: Uint8Array, offset: number, length: number, position: number) => {
    if (length > TABLE_LIMITS.recordBatch) {
      throw tooLarge(`${name} has a record batch of more than ${TABLE_LIMITS.recordBatch} bytes`, field);
    }
    return handle.read(buffer, offset, length, position);
  };
  const close = async (): Promise<void> => {};
  return { fd: handle.fd, stat: () => handle.stat(), read, close } as unknown as FileHandle;
}

/** Opens an Arrow file or stream. Throws BAD_REQUEST or TABLE_TOO_LARGE. */
export async function readArrow(file: TableFile, options: TableReadOptions): Promise<TableReading> {
  const { name, field } = file;
  let reader: RecordBatchReader;
  try {
    reader = await RecordBatchReader.from(limitedHandle(file));
    await reader.open({ autoDestroy: false });
    if (!reader.schema) throw new Error('it has no schema');
  } catch (error) {
    throw refusal(file, 'is not an Arrow file', error);
  }
  checkColumnCount(reader.schema.fields.length, name, field);
  const columns = reader.schema.fields.map((one): FileColumn => ({ name: one.name, inferred: typeOfArrow(one.type) }));
  const selection = selectColumns(file, columns, options);
  let row = 0;
  async function* rows(): AsyncGenerator<(readonly unknown[])[]> {
    try {
      for await (const batch of reader) {
        if (row + batch.numRows > TABLE_LIMITS.rows) {
          throw tooLarge(`${name} has more than ${TABLE_LIMITS.rows} rows`, field);
        }
        const vectors = selection.indexes.map((index) => batch.getChildAt(index)!);
        const types = selection.indexes.map((index) => columns[index]!.inferred);
        for (let first = 0; first < batch.numRows; first += SLICE_ROWS) {
          const length = Math.min(SLICE_ROWS, batch.numRows - first);
          yield Array.from({ length }, (_, at) =>
            vectors.map((vector, index) => plain(vector.get(first + at), types[index]!)),
          );
        }
      }
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
    rowCount: null,
    batches: () => inBatches(rows(), read, options.batchSize ?? 10_000),
    close: async () => {
      await reader.cancel();
      await file.handle.close();
    },
  };
}

function refusal({ name, field }: TableFile, what: string, error: unknown): FStoreError {
  if (error instanceof FStoreError) return error;
  return unusable(`${name} ${what}: ${shownText((error as Error).message)}`, field, error);
}

const ARROW: Record<ScalarType, DataType> = {
  STRING: new Utf8(),
  BOOL: new Bool(),
  INT32: new Int32(),
  INT64: new Int64(),
  FLOAT64: new Float64(),
  TIMESTAMP: new TimestampMillisecond('UTC'),
};

function arrowType(type: ValueType): DataType {
  const element = elementType(type);
  return element ? new List(new Field('item', ARROW[element], true)) : ARROW[type as ScalarType];
}

/** Bits, least significant first: those of values that are there, or that are true. */
function bitsOf<T>(values: readonly T[], isSet: (value: T) => boolean): Uint8Array {
  const bits = new Uint8Array(Math.ceil(values.length / 64) * 8);
  for (const [index, value] of values.entries()) if (isSet(value)) bits[index >> 3]! |= 1 << (index & 7);
  return bits;
}

function columnData(type: ValueType, values: readonly FeatureValue[]): Data {
  const length = values.length;
  const nullCount = values.reduce<number>((sum, value) => sum + (value === null ? 1 : 0), 0);
  const nullBitmap = nullCount > 0 ? bitsOf(values, (value) => value !== null) : null;
  const shared = { length, nullCount, nullBitmap };
  const element = elementType(type);
  if (element) {
    const items = values.flatMap((value) => (value as readonly FeatureValue[] | null) ?? []);
    const valueOffsets = offsetsOf(values, (value) => (value as readonly FeatureValue[]).length);
    const child = columnData(element, items);
    return makeData({ type: arrowType(type) as List, ...shared, valueOffsets, child });
  }
  switch (type as ScalarType) {
    case 'STRING': {
      const texts = values.map((value) => Buffer.from((value as string | null) ?? '', 'utf8'));
      const valueOffsets = offsetsOf(texts, (text) => text.length);
      return makeData({ type: ARROW.STRING as Utf8, ...shared, valueOffsets, data: Buffer.concat(texts) });
    }
    case 'BOOL':
      return makeData({ type: ARROW.BOOL as Bool, ...shared, data: bitsOf(values, (value) => value === true) });
    case 'INT32':
      return makeData({
        type: ARROW.INT32 as Int32,
        ...shared,
        data: Int32Array.from(values, (value) => (value as number) ?? 0),
      });
    case 'FLOAT64':
      return makeData({
        type: ARROW.FLOAT64 as Float64,
        ...shared,
        data: Float64Array.from(values, (value) => (value as number) ?? 0),
      });
    default:
      return makeData({
        type: ARROW[type as 'INT64'] as Int64,
        ...shared,
        data: BigInt64Array.from(values, (value) => BigInt((value as bigint | number | null) ?? 0)),
      });
  }
}

function offsetsOf<T>(values: readonly T[], sizeOf: (value: NonNullable<T>) => number): Int32Array {
  const offsets = new Int32Array(values.length + 1);
  for (const [index, value] of values.entries()) {
    offsets[index + 1] = offsets[index]! + (value === null || value === undefined ? 0 : sizeOf(value));
  }
  return offsets;
}

/** A writer whose bytes are taken from it while it goes on; its own sink would hold the whole file. */
class TakingWriter extends RecordBatchFileWriter {
  #pieces: Uint8Array[] = [];

  protected override _write(chunk: unknown): this {
    const bytes = util.toUint8Array(chunk as Uint8Array) as Uint8Array | undefined;
    if (this._started && bytes && bytes.byteLength > 0) {
      this.#pieces.push(bytes.slice());
      this._position += bytes.byteLength;
    }
    return this;
  }

  take(): Uint8Array {
    const pieces = this.#pieces;
    this.#pieces = [];
    return Buffer.concat(pieces);
  }
}

/** Encodes record batches, one after the other. */
export class ArrowEncoder {
  readonly #columns: readonly TableColumn[];
  readonly #schema: Schema;
  readonly #writer = new TakingWriter({ autoDestroy: false });

  constructor(columns: readonly TableColumn[]) {
    this.#columns = columns;
    this.#schema = new Schema(columns.map(({ name, type }) => new Field(name, arrowType(type), true)));
    this.#writer.reset(undefined, this.#schema);
  }

  writeGroup(rows: readonly TableRow[]): Uint8Array {
    const children = this.#columns.map(({ type }, index) =>
      columnData(
        type,
        rows.map((row) => row[index] ?? null),
      ),
    );
    const data = makeData({ type: new Struct(this.#schema.fields), length: rows.length, nullCount: 0, children });
    this.#writer.write(new RecordBatch(this.#schema, data));
    return this.#writer.take();
  }

  finish(): Uint8Array {
    this.#writer.finish();
    return this.#writer.take();
  }
}
