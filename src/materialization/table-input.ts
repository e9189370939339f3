/** Where Spark reads the rows of a table: files of a format, or a SELECT in a database. */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import type { BatchMeaning, SourceMeaning } from '../definition/definition-record.js';
import type { ValueType } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';
import { selectText } from '../store/select-text.js';
import type { TableFormat } from '../tabular/table-schema.js';
import { checkRealPath, isAddress, pathWithin } from './batch-path.js';

/** Environment variable that holds the URL of PostgreSQL to which a run writes. */
export const SINK_VARIABLE = 'FSTORE_SPARK_SINK_URL';
/** Environment variable from which a run takes the address of PostgreSQL with the read login, to read queries. */
export const READ_VARIABLE = 'FSTORE_SPARK_READ_URL';

/** Files of one format: a file, a folder of files, or a URL that a Spark connector reads. */
const filesInput = z.strictObject({
  file: z.strictObject({ format: z.enum(['csv', 'ndjson', 'parquet', 'orc']), path: z.string() }),
});
/** A SELECT in a database. With `partition`, it is read in `count` parallel parts, by ranges of `column`. */
const jdbcInput = z.strictObject({
  jdbc: z.strictObject({
    urlEnv: z.string(),
    userEnv: z.string().nullable(),
    passwordEnv: z.string().nullable(),
    query: z.string(),
    partition: z.strictObject({ column: z.string(), count: z.int().positive() }).nullable(),
    /** Columns that sort the rows of a part; that order is their order of arrival. */
    order: z.array(z.string()),
  }),
});
export const tableInputSchema = z.union([filesInput, jdbcInput]);
/** Where the rows of a table are read from. */
export type TableInput = z.infer<typeof tableInputSchema>;

/** A source whose rows can be read as a table. */
export type TableMeaning = SourceMeaning & { readonly batch: BatchMeaning };

/** The column whose ranges are read in parallel, and the number of parts. */
export interface ReadPartition {
  readonly column: string;
  readonly count: number;
}

/**
 * Returns the input for a source's rows. `folder` is the folder of batch files. Throws BAD_REQUEST for a path outside
 * of it, and DEFINITION_INVALID for a format that Spark does not read.
 */
export function tableInput(
  { schema, timestamp, batch }: TableMeaning,
  folder: string,
  partition: ReadPartition | null = null,
): TableInput {
  if ('path' in batch) {
    const { format, path } = batch;
    if (format === 'arrow') throw new FStoreError('DEFINITION_INVALID', `Spark does not read ${path}, which is Arrow`);
    return { file: { format, path: sparkPath(folder, path, format) } };
  }
  const { connection } = batch;
  const more = { partition, order: [timestamp, ...Object.keys(schema).filter((name) => name !== timestamp)] };
  if (connection === undefined) {
    const query = postgresQuery(batch.query, schema, partition?.column ?? null);
    return { jdbc: { urlEnv: READ_VARIABLE, userEnv: null, passwordEnv: null, query, ...more } };
  }
  const name = `FSTORE_JDBC_${connection.toUpperCase()}`;
  const given = { urlEnv: `${name}_URL`, userEnv: `${name}_USER`, passwordEnv: `${name}_PASSWORD` };
  return { jdbc: { ...given, query: batch.query, ...more } };
}

/** Returns the path for Spark: a URL unchanged, or a file of this machine within the folder. */
function sparkPath(folder: string, path: string, format: TableFormat | 'orc'): string {
  if (isAddress(path)) return path;
  // Spark also reads what is compressed, and folders that are named without a slash at their end.
  const plain = path.replace(/\.(?:gz|bz2|zst|lz4|snappy)$/i, '');
  const found = pathWithin(folder, `${path}/`).replace(/\/+$/, '');
  const isFolder = path.endsWith('/') || statSync(found, { throwIfNoEntry: false })?.isDirectory() === true;
  if (!isFolder) pathWithin(folder, plain, format);
  checkRealPath(folder, found);
  return localPath(found);
}

/** Returns the URL of a local file for Spark, with wildcard characters escaped. */
export function localPath(path: string): string {
  return `file://${resolve(path)}`.replaceAll(/[*?[\]{}\\]/g, '\\$&');
}

/**
 * Returns a SELECT of the declared columns. Columns declared as FLOAT64 are cast, because Spark reads a number without
 * precision as a decimal with 18 digits after the point.
 */
function postgresQuery(query: string, schema: Readonly<Record<string, ValueType>>, partition: string | null): string {
  const columns = Object.entries(schema).map(([name, type]) => {
    const cast = type === 'FLOAT64' ? '::float8' : type === 'FLOAT64[]' ? '::float8[]' : '';
    return cast ? `"${name}"${cast} AS "${name}"` : `"${name}"`;
  });
  if (partition !== null && !(partition in schema)) columns.push(`"${partition}"`);
  // The newline ends a comment in the query's last line.
  return `SELECT ${columns.join(', ')} FROM (${selectText(query)}\n) AS rows`;
}
