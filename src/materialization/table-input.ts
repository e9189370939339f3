/** Where Spark reads the rows of a table: files of a format, or a SELECT of a database. */
import { resolve } from 'node:path';
import { z } from 'zod';
import type { BatchMeaning, SourceMeaning } from '../definition/definition-record.js';
import type { ValueType } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';
import { isAddress, pathWithin } from './batch-path.js';

/** Environment variable from which a run takes the address of PostgreSQL. */
export const SINK_VARIABLE = 'FSTORE_SPARK_SINK_URL';

/** Files of one format: a file, a folder of them, or an address that a connector of Spark reads. */
const filesInput = z.strictObject({
  file: z.strictObject({ format: z.enum(['csv', 'ndjson', 'parquet', 'orc']), path: z.string() }),
});
/** A SELECT of a database; `partition`: a column by whose ranges it is read in so many parts at once. */
const jdbcInput = z.strictObject({
  jdbc: z.strictObject({
    urlEnv: z.string(),
    userEnv: z.string().nullable(),
    passwordEnv: z.string().nullable(),
    query: z.string(),
    partition: z.strictObject({ column: z.string(), count: z.int().positive() }).nullable(),
    /** Columns by which the rows of a part are put in order: the order of their arrival. */
    order: z.array(z.string()),
  }),
});
export const tableInputSchema = z.union([filesInput, jdbcInput]);
/** What the rows of a table are read from. */
export type TableInput = z.infer<typeof tableInputSchema>;

/** A source that can be read whole. */
export type TableMeaning = SourceMeaning & { readonly batch: BatchMeaning };

/** The column by whose ranges so many parts are read at once. */
export interface ReadPartition {
  readonly column: string;
  readonly count: number;
}

/**
 * The input of a plan for a source's rows; `folder`: that of batch files. Throws BAD_REQUEST for a path that leads out of it, and
 * DEFINITION_INVALID for a format that Spark does not read.
 */
export function tableInput(
  { schema, timestamp, batch }: TableMeaning,
  folder: string,
  partition: ReadPartition | null = null,
): TableInput {
  if ('path' in batch) {
    const { format, path } = batch;
    if (format === 'arrow') throw new FStoreError('DEFINITION_INVALID', `Spark does not read ${path}, which is Arrow`);
    return { file: { format, path: sparkPath(folder, path) } };
  }
  const { connection } = batch;
  const more = { partition, order: [timestamp, ...Object.keys(schema).filter((name) => name !== timestamp)] };
  if (connection === undefined) {
    const query = postgresQuery(batch.query, schema, partition?.column ?? null);
    return { jdbc: { urlEnv: SINK_VARIABLE, userEnv: null, passwordEnv: null, query, ...more } };
  }
  const name = `FSTORE_JDBC_${connection.toUpperCase()}`;
  const given = { urlEnv: `${name}_URL`, userEnv: `${name}_USER`, passwordEnv: `${name}_PASSWORD` };
  return { jdbc: { ...given, query: batch.query, ...more } };
}

/** An address is passed on; a path within the folder is a file of this machine. */
function sparkPath(folder: string, path: string): string {
  if (isAddress(path)) return path;
  return localPath(pathWithin(folder, path));
}

/** A file of this machine as Spark reads it: its name has no wildcards. */
export function localPath(path: string): string {
  return `file://${resolve(path)}`.replaceAll(/[*?[\]{}\\]/g, '\\$&');
}

/** The declared columns. A number without a precision would be one of 18 decimals for Spark. */
function postgresQuery(query: string, schema: Readonly<Record<string, ValueType>>, partition: string | null): string {
  const columns = Object.entries(schema).map(([name, type]) => {
    const cast = type === 'FLOAT64' ? '::float8' : type === 'FLOAT64[]' ? '::float8[]' : '';
    return cast ? `"${name}"${cast} AS "${name}"` : `"${name}"`;
  });
  if (partition !== null && !(partition in schema)) columns.push(`"${partition}"`);
  // It may end in a comment.
  return `SELECT ${columns.join(', ')} FROM (${query}\n) AS rows`;
}
