/**
 * What an engine outside of this process is told: one JSON document, compiled from the registry. It is checked against its schema before
 * it is sent; the job checks that it reads this version.
 *
 * Boundary: pure. A plan holds no password: where one is needed, it names the environment variable.
 */
import { resolve } from 'node:path';
import { z } from 'zod';
import { aggregationPlan } from '../aggregation/tile-set.js';
import { AGGREGATE_FUNCTIONS } from '../definition/aggregate-function.js';
import { valueTypeSchema } from '../definition/value-type.js';
import type { ViewVersion } from '../definition/view-version.js';
import { FStoreError } from '../errors.js';
import type { BegunRun } from '../store/staged-batches.js';
import { storedKeyName } from '../store/stored-key.js';
import { pathWithin } from './batch-path.js';
import type { StreamContract, TableMeaning } from './source-contract.js';

/** Environment variable from which a run takes the address of PostgreSQL. */
export const SINK_VARIABLE = 'FSTORE_SPARK_SINK_URL';

/** Environment variable from which a run takes the address of the schema registry. */
const REGISTRY_VARIABLE = 'FSTORE_SCHEMA_REGISTRY_URL';

const options = z.record(z.string(), z.string());
const offsets = z.record(z.string().regex(/^\d+$/), z.string().regex(/^\d+$/));

const kafkaInput = z.strictObject({
  kafka: z.strictObject({ brokers: z.string(), topic: z.string(), maxEvents: z.int().positive(), options }),
});
/** What is read whole: a file or folder, or a SELECT. */
const tableInput = z.union([
  z.strictObject({ file: z.strictObject({ format: z.enum(['csv', 'ndjson', 'parquet']), path: z.string() }) }),
  z.strictObject({ jdbc: z.strictObject({ query: z.string(), urlEnv: z.string() }) }),
]);
const tablePlan = z.strictObject({
  name: z.string(),
  schema: z.record(z.string(), valueTypeSchema),
  input: tableInput,
});
const viewPlan = z.strictObject({
  id: z.string(),
  table: z.string(),
  keys: z.array(z.strictObject({ column: z.string(), stored: z.string() })).min(1),
  columns: z.array(z.strictObject({ name: z.string(), column: z.string() })),
  positions: offsets,
  aggregation: z
    .strictObject({
      aggregates: z.array(
        z.strictObject({
          function: z.enum(AGGREGATE_FUNCTIONS),
          column: z.string().nullable(),
          type: valueTypeSchema.nullable(),
          n: z.int().positive().nullable(),
        }),
      ),
      hops: z.array(z.int().positive()),
    })
    .nullable(),
  /** A query whose result has the columns; types are those of the keys and columns above. */
  sql: z
    .strictObject({
      query: z.string(),
      timestamp: z.string(),
      keyTypes: z.array(valueTypeSchema),
      types: z.array(valueTypeSchema),
    })
    .nullable(),
});

const enginePlanSchema = z
  .strictObject({
    version: z.literal(1),
    mode: z.literal('stream'),
    stream: z.string(),
    epoch: z.int(),
    revision: z.int(),
    source: z.strictObject({
      name: z.string(),
      schema: z.record(z.string(), valueTypeSchema),
      timestamp: z.string(),
      // Messages are Avro of this schema; without one, of the schema that they name in the registry of `urlEnv`.
      avro: z.strictObject({ schema: z.record(z.string(), z.unknown()).nullable(), urlEnv: z.string() }).nullable(),
      // What every view of the source asks of an event, whoever computes it: what one refuses, all refuse.
      checks: z.array(
        z.strictObject({ table: z.string(), keys: z.array(z.string()).min(1), summed: z.array(z.string()) }),
      ),
    }),
    limits: z.strictObject({ clockSkew: z.int().nonnegative(), maxBytes: z.int().positive() }),
    input: kafkaInput,
    views: z.array(viewPlan),
    // What queries read besides events; read again when older than `refresh`, in milliseconds.
    tables: z.array(tablePlan),
    refresh: z.int().positive(),
    sink: z.strictObject({ schema: z.string(), urlEnv: z.string() }),
  })
  .describe('What the job in spark/ is told to do, version 1.');
export type EnginePlan = z.infer<typeof enginePlanSchema>;

/** What a plan is made of, besides where its events come from. */
export interface PlanOptions {
  readonly project: string;
  readonly contract: StreamContract;
  readonly views: readonly ViewVersion[];
  readonly stream: string;
  readonly begun: BegunRun;
}

/** Where a stream's events and tables are read from. */
export interface StreamInputs {
  readonly brokers: readonly string[];
  /** Events of one micro-batch at most. */
  readonly maxEvents: number;
  /** Milliseconds after which a table is read again. */
  readonly refresh: number;
  /** Folder of batch files. */
  readonly folder: string;
}

/**
 * The plan of a stream: events of a topic of Kafka, `maxEvents` at a time.
 * Throws BAD_REQUEST for a table out of the folder, ZodError for a plan that the job would not understand.
 */
export function streamPlan(
  { project, contract, views, stream, begun }: PlanOptions,
  { brokers, maxEvents, refresh, folder }: StreamInputs,
): EnginePlan {
  const { source, meaning, limits, revision, topic } = contract;
  return enginePlanSchema.parse({
    version: 1,
    mode: 'stream',
    stream,
    epoch: begun.epoch,
    revision,
    source: {
      name: source,
      schema: { ...meaning.schema },
      timestamp: meaning.timestamp,
      avro: meaning.avro ? { schema: meaning.avro.schema, urlEnv: REGISTRY_VARIABLE } : null,
      checks: contract.views.map((view) => ({
        table: view.table,
        keys: view.keys.map((key) => key.column),
        summed: view.columns.filter((one) => one.summed).map((one) => one.column),
      })),
    },
    limits: { ...limits },
    input: { kafka: { brokers: brokers.join(','), topic, maxEvents, options: {} } },
    views: views.map((view) => ({
      id: view.id,
      table: view.table,
      keys: view.keys.map((key) => ({ column: key.column, stored: storedKeyName(view, key.name) })),
      columns: view.columns.map(({ name, column }) => ({ name, column })),
      positions: { ...begun.positions.get(view.table) },
      aggregation: view.aggregation && {
        aggregates: view.aggregation.aggregates.map(({ function: name, column, type, n }) => ({
          function: name,
          column,
          type,
          n,
        })),
        hops: aggregationPlan(view.aggregation).hops.map(({ hop }) => hop),
      },
      sql: view.sql && {
        query: view.sql.query,
        timestamp: view.timestamp,
        keyTypes: view.keys.map(({ type }) => type),
        types: view.columns.map(({ type }) => type),
      },
    })),
    tables: [...new Set(views.flatMap((view) => view.sql?.with ?? []))].sort().map((name) => {
      const table = contract.tables.get(name)!;
      return { name, schema: { ...table.schema }, input: tableInputOf(table, folder) };
    }),
    refresh,
    sink: { schema: `fstore_${project}`, urlEnv: SINK_VARIABLE },
  } satisfies EnginePlan);
}

function tableInputOf({ batch }: TableMeaning, folder: string): z.infer<typeof tableInput> {
  if ('query' in batch) return { jdbc: { query: batch.query, urlEnv: SINK_VARIABLE } };
  const { format, path } = batch;
  if (format === 'arrow') throw new FStoreError('DEFINITION_INVALID', `Spark does not read ${path}, which is Arrow`);
  return { file: { format, path: resolve(pathWithin(folder, path)) } };
}

/** True if two plans compute the same, wherever they begin. */
export function isSameWork(a: EnginePlan, b: EnginePlan): boolean {
  const work = ({ epoch, revision, views, ...plan }: EnginePlan): string =>
    JSON.stringify([plan, views.map(({ positions, ...view }) => view)]);
  return work(a) === work(b);
}
