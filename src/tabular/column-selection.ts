/** Which columns of a file are read, and as what: those that are declared, and perhaps the others. */
import { type FeatureValue, readValue, type ValueType } from '../definition/value-type.js';
import type { TableFile } from './table-file.js';
import { shownText, TABLE_LIMITS, tooLarge, unusable } from './table-limit.js';
import type { TableColumn, TableReadOptions, TableRow } from './table-schema.js';

/** How many columns of similar names an error lists. */
const SIMILAR = 3;

/** A column of a file: where it is, and what its values seem to be. */
export interface FileColumn {
  readonly name: string;
  readonly inferred: ValueType;
}

/** The columns to read, in the order of the file. */
export interface ColumnSelection {
  readonly schema: readonly TableColumn[];
  /** Positions of these columns among all columns of the file. */
  readonly indexes: readonly number[];
  /**
   * Makes a row of the values of the selected columns, as the file has them. `row`: its number, from 1, for the error.
   * Throws BAD_REQUEST, which names file, row and column, or TABLE_TOO_LARGE.
   */
  read(values: readonly unknown[], row: number): TableRow;
}

/**
 * Selects columns. Throws BAD_REQUEST for a declared column that the file does not have, and for one that it has twice;
 * TABLE_TOO_LARGE for too many columns or too long a name.
 */
export function selectColumns(
  { name: file, field }: TableFile,
  columns: readonly FileColumn[],
  { schema, extra = false }: Pick<TableReadOptions, 'schema' | 'extra'>,
): ColumnSelection {
  checkColumnCount(columns.length, file, field);
  const names = new Set<string>();
  for (const { name } of columns) {
    if (name.length > TABLE_LIMITS.columnName) {
      const limit = `a name may have ${TABLE_LIMITS.columnName}`;
      throw tooLarge(`${file} has a column with a name of ${name.length} characters; ${limit}`, field);
    }
    if (names.has(name)) throw unusable(`${file} has the column ${shownText(name)} twice`, field);
    names.add(name);
  }
  const declared = new Map(schema?.map(({ name, type }) => [name, type]));
  for (const name of declared.keys()) {
    if (!names.has(name)) throw unusable(`${file} has no column ${name}; ${describeColumns(names, name)}`, name);
  }
  const selected = columns.flatMap(({ name, inferred }, index) => {
    const type = declared.get(name) ?? (schema && !extra ? null : inferred);
    return type ? [{ name, type, index }] : [];
  });
  return {
    schema: selected.map(({ name, type }) => ({ name, type })),
    indexes: selected.map(({ index }) => index),
    read: (values, row) =>
      selected.map(({ name, type }, index): FeatureValue => {
        const read = readValue(type, values[index]);
        if (!read.ok) {
          throw unusable(`${file}, row ${row}, column ${shownText(name)} is ${type}: ${read.reason}`, name);
        }
        if (typeof read.value === 'string' && read.value.length > TABLE_LIMITS.cell) {
          const where = `${file}, row ${row}, column ${shownText(name)}`;
          throw tooLarge(`${where} has a value of more than ${TABLE_LIMITS.cell} characters`, field);
        }
        return read.value;
      }),
  };
}

/** Throws TABLE_TOO_LARGE for more columns than a file may have. */
export function checkColumnCount(count: number, file: string, field: string): void {
  if (count <= TABLE_LIMITS.columns) return;
  throw tooLarge(`${file} has more than ${TABLE_LIMITS.columns} columns`, field);
}

/** Says how many columns there are and which have a similar name. The others stay unsaid: a header may be no header but a secret. */
function describeColumns(names: ReadonlySet<string>, wanted: string): string {
  const plain = (name: string): string => name.toLowerCase().replaceAll(/[^\p{L}\p{N}]/gu, '');
  const sought = plain(wanted);
  const similar: string[] = [];
  for (const name of names) {
    if (similar.length === SIMILAR) break;
    if (sought !== '' && plain(name) === sought) similar.push(shownText(name));
  }
  const count = names.size === 1 ? 'it has 1 column' : `it has ${names.size} columns`;
  return similar.length > 0 ? `${count}, of which ${similar.join(', ')} may be meant` : count;
}
