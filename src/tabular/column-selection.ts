/** Which columns of a file are read, and as what: those that are declared, and perhaps the others. */
import { type FeatureValue, readValue, type ValueType } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';
import type { TableColumn, TableReadOptions, TableRow } from './table-schema.js';

/** A column of a file: where it is, and what its values seem to be. */
export interface FileColumn {
  readonly name: string;
  readonly inferred: ValueType;
}

/** The columns to read, in the order of the file. */
export interface ColumnSelection {
  readonly schema: readonly TableColumn[];
  /**
   * A row from the values of all columns of the file, as the file has them. `row`: its number, from 1, for the error.
   * Throws BAD_REQUEST, which names file, row and column.
   */
  read(values: readonly unknown[], row: number): TableRow;
}

/** Selects columns. Throws BAD_REQUEST for a declared column that the file does not have, or has twice. */
export function selectColumns(
  file: string,
  columns: readonly FileColumn[],
  { schema, extra = false }: Pick<TableReadOptions, 'schema' | 'extra'>,
): ColumnSelection {
  const names = columns.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw unusable(`${file} has the column ${twice} twice`, twice);
  const declared = new Map(schema?.map(({ name, type }) => [name, type]));
  for (const name of declared.keys()) {
    if (!names.includes(name))
      throw unusable(`${file} has no column ${name} (it has ${names.join(', ') || 'none'})`, name);
  }
  const selected = columns.flatMap(({ name, inferred }, index) => {
    const type = declared.get(name) ?? (schema && !extra ? null : inferred);
    return type ? [{ name, type, index }] : [];
  });
  return {
    schema: selected.map(({ name, type }) => ({ name, type })),
    read: (values, row) =>
      selected.map(({ name, type, index }): FeatureValue => {
        const read = readValue(type, values[index]);
        if (read.ok) return read.value;
        throw unusable(`${file}, row ${row}, column ${name} is ${type}: ${read.reason}`, name);
      }),
  };
}

/** The error of a file that cannot be used, with the column at fault. */
export function unusable(message: string, field: string, cause?: unknown): FStoreError {
  return new FStoreError('BAD_REQUEST', message, { field }, [], cause === undefined ? {} : { cause });
}
