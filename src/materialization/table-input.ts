/** Where the rows of a source are, as Spark finds them. A plan names the variables of a database, and holds no password. */
import { resolve } from 'node:path';
import { z } from 'zod';
import type { SourceMeaning } from '../definition/definition-record.js';
import type { ValueType } from '../definition/value-type.js';
import { FStoreError } from '../errors.js';
import { isAddress, pathWithin } from './batch-path.js';
import type { BatchReading } from './source-contract.js';

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
/** The schema of it, as a part of plans. */
export const tableInput = z.union([filesInput, jdbcInput]);
export type TableInput = z.infer<typeof tableInput>;

/** The input of a source with a `batch`. Throws BAD_REQUEST for a path out of the folder, DEFINITION_INVALID for Arrow. */
export function tableInputOf(
  { schema, timestamp, batch }: SourceMeaning,
  folder: string,
  partition: BatchReading['partition'] = null,
): TableInput {
  if (!batch) throw new FStoreError('SOURCE_NOT_BATCH', 'the source is not read in batches');
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

/** An address is passed on; a path within the folder is a file of this machine, whose name has no wildcards. */
function sparkPath(folder: string, path: string): string {
  if (isAddress(path)) return path;
  return `file://${resolve(pathWithin(folder, path))}`.replaceAll(/[*?[\]{}\\]/g, '\\$&');
}

/** The declared columns. A number without a precision would be one of 18 decimals for Spark. */
function postgresQuery(query: string, schema: Readonly<Record<string, ValueType>>, partition: string | null): string {
  const columns = Object.entries(schema).map(([name, type]) => {
    const cast = type === 'FLOAT64' ? '::float8' : type === 'FLOAT64[]' ? '::float8[]' : '';
    return cast ? `"${name}"${cast} AS "${name}"` : `"${name}"`;
  });
  if (partition !== null && !(partition in schema)) columns.push(`"${partition}"`);
  return `SELECT ${columns.join(', ')} FROM (${query}) AS rows`;
}
