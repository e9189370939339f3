/** Writes Parquet one row group at a time. */
import type { SchemaElement } from 'hyparquet';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { elementType, type FeatureValue, type ScalarType } from '../definition/value-type.js';
import type { TableColumn, TableRow } from './table-schema.js';

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
