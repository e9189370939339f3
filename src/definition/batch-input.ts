/** The `batch` field of a source: where its rows are, which engine reads them, and when. */
import { z } from 'zod';
import { isCron } from './cron.js';

/** The engine that computes a view from its source's stream, or that reads a source in batches. */
export const engineSchema = z.enum(['builtin', 'spark']);

const batchFile = z
  .string()
  .min(1)
  .max(1000)
  .describe(
    'Path within the folder of batch files (FSTORE_BATCH_FOLDER); with `engine: spark` also a folder, or an address such as s3a://bucket/folder.',
  );
/** Names of tables that can be put in quotes, and hold none. */
export const TABLE_NAME = /^[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?$/;
const tableName = z.string().max(128).regex(TABLE_NAME, 'expected table or schema.table');
const query = z.string().min(1).max(20_000);
const partitioned = {
  partitionBy: z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'expected the name of a column')
    .optional()
    .describe('With `engine: spark`: a column of numbers, dates or times by whose ranges parts are read at once.'),
  partitions: z.int().min(2).max(1000).optional().describe('How many parts are read at once; default: 8.'),
};

const jdbcSchema = z
  .strictObject({
    connection: z
      .string()
      .max(58)
      .regex(/^[a-z](?:_?[a-z0-9])*$/, 'a connection is lower case with single underscores, such as warehouse')
      .describe('The connection x is FSTORE_JDBC_X_URL, FSTORE_JDBC_X_USER and FSTORE_JDBC_X_PASSWORD.'),
    table: tableName.optional().describe('Table of that database.'),
    query: query.optional().describe('SELECT on that database.'),
    ...partitioned,
  })
  .refine((jdbc) => (jdbc.table === undefined) !== (jdbc.query === undefined), 'jdbc has one of table, query')
  .describe('A table or query of any database that has a JDBC driver.');

const BATCH_FILES = ['csv', 'ndjson', 'parquet', 'arrow', 'orc'] as const;
const BATCH_ORIGINS = [...BATCH_FILES, 'table', 'query', 'jdbc'] as const;
const ADDRESS = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//;

/** The schema of the `batch` field of a source. */
export const batchSchema = z
  .strictObject({
    engine: engineSchema
      .optional()
      .describe('What reads it: FStore itself (default), or Spark; the values are the same.'),
    csv: batchFile.optional(),
    ndjson: batchFile.optional(),
    parquet: batchFile.optional(),
    arrow: batchFile.optional(),
    orc: batchFile.optional(),
    table: tableName.optional().describe("Table of the offline store's PostgreSQL."),
    query: query.optional().describe("SELECT on the offline store's PostgreSQL."),
    jdbc: jdbcSchema.optional(),
    ...partitioned,
    schedule: z
      .string()
      .refine(isCron, 'expected five fields of cron, such as 0 3 * * *')
      .optional()
      .describe('When it is read by itself, as cron in UTC; without it, by `fstore materialize`.'),
  })
  .superRefine((batch, context) => {
    const refuse = (message: string, ...path: string[]): void => context.addIssue({ code: 'custom', message, path });
    const given = BATCH_ORIGINS.filter((key) => batch[key] !== undefined);
    const [origin] = given;
    if (!origin || given.length > 1) {
      const message = `batch has one of ${BATCH_ORIGINS.join(', ')}; this one has ${given.join(' and ') || 'none'}`;
      return refuse(message, ...given.slice(1, 2));
    }
    const format = BATCH_FILES.find((one) => one === origin);
    const path = format ? batch[format]! : '';
    const isAddress = ADDRESS.test(path);
    if (batch.engine === 'spark') {
      if (origin === 'arrow') refuse('Spark reads no Arrow: leave `engine: spark` out, or write Parquet', origin);
      if (/^file:/i.test(path)) refuse('a file is named by its path within FSTORE_BATCH_FOLDER', origin);
    } else {
      const only = origin === 'orc' || origin === 'jdbc' || isAddress || path.endsWith('/');
      const what = isAddress ? 'an address' : path.endsWith('/') ? 'a folder' : origin;
      if (only) refuse(`${what} is read by Spark: add \`engine: spark\` to batch`, origin);
      if (batch.partitionBy) refuse('parts are read at once by Spark: add `engine: spark` to batch', 'partitionBy');
    }
    if (batch.partitionBy && origin !== 'table' && origin !== 'query') {
      const cure = origin === 'jdbc' ? 'write it within jdbc' : 'files are read in parts by themselves';
      refuse(`partitionBy beside ${origin}: ${cure}`, 'partitionBy');
    }
    for (const [place, of] of Object.entries({ partitions: batch, 'jdbc.partitions': batch.jdbc })) {
      if (of?.partitions && !of.partitionBy) {
        refuse('partitions needs partitionBy, the column to read parts by', ...place.split('.'));
      }
    }
  })
  .describe('Where rows of this source are read from in batches.');
