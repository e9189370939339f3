/**
 * The plan of a run of an engine outside of this process: one JSON document, compiled from the registry. It is
 * validated against its schema before it is sent, and by the job against the same schema
 * (`spark/fstore_spark/plan.schema.json`, emitted from here).
 *
 * Boundary: pure. A plan contains no passwords; it names the environment variables that hold them.
 */
import { z } from 'zod';
import { aggregationPlan } from '../aggregation/tile-set.js';
import { valueTypeSchema } from '../definition/value-type.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { BegunRun } from '../store/staged-batches.js';
import { storedKeyName } from '../store/stored-key.js';
import { aggregatesOf, aggregatesSchema, joinPlanSchema, sinkOf, sinkSchema } from './engine-join-plan.js';
import type { SourceContract, StreamContract } from './source-contract.js';
import { type TableInput, tableInput, tableInputSchema } from './table-input.js';

/** Environment variable that holds the URL of the schema registry. */
const REGISTRY_VARIABLE = 'FSTORE_SCHEMA_REGISTRY_URL';

const options = z.record(z.string(), z.string());
const offsets = z.record(z.string().regex(/^\d+$/), z.string().regex(/^\d+$/));

const kafkaInput = z.strictObject({
  kafka: z.strictObject({ brokers: z.string(), topic: z.string(), maxEvents: z.int().positive(), options }),
});
const tablePlan = z.strictObject({
  name: z.string(),
  schema: z.record(z.string(), valueTypeSchema),
  input: tableInputSchema,
});
const viewPlan = z.strictObject({
  id: z.string(),
  table: z.string(),
  keys: z.array(z.strictObject({ column: z.string(), stored: z.string() })).min(1),
  columns: z.array(z.strictObject({ name: z.string(), column: z.string() })),
  aggregation: z
    .strictObject({
      aggregates: aggregatesSchema,
      hops: z.array(z.int().positive()),
    })
    .nullable(),
  /** A query whose result has the columns above; `keyTypes` and `types` are the types of the keys and columns. */
  sql: z
    .strictObject({
      query: z.string(),
      timestamp: z.string(),
      keyTypes: z.array(valueTypeSchema),
      types: z.array(valueTypeSchema),
    })
    .nullable(),
});

const anyPlan = z.strictObject({
  version: z.literal(1),
  stream: z.string(),
  epoch: z.int(),
  revision: z.int(),
  source: z.strictObject({
    name: z.string(),
    schema: z.record(z.string(), valueTypeSchema),
    timestamp: z.string(),
    // Messages are Avro of `schema`. If it is null, each message names its schema in the registry at `urlEnv`. If
    // `avro` is null, messages are JSON.
    avro: z.strictObject({ schema: z.record(z.string(), z.unknown()).nullable(), urlEnv: z.string() }).nullable(),
    // What each view of the source requires of an event, whichever engine computes the view. All must accept an event.
    checks: z.array(
      z.strictObject({ table: z.string(), keys: z.array(z.string()).min(1), summed: z.array(z.string()) }),
    ),
  }),
  limits: z.strictObject({ clockSkew: z.int().nonnegative(), maxBytes: z.int().positive() }),
  // Tables that queries read besides events. A table is read again when its copy is older than `refresh` milliseconds.
  tables: z.array(tablePlan),
  refresh: z.int().positive(),
  sink: sinkSchema,
});
const streamPlanSchema = anyPlan.extend({
  mode: z.literal('stream'),
  input: kafkaInput,
  views: z.array(viewPlan.extend({ positions: offsets })),
});

const batchPlanSchema = anyPlan.extend({
  mode: z.literal('batch'),
  input: tableInputSchema,
  views: z.array(viewPlan),
  run: z.strictObject({
    number: z.int().nonnegative(),
    consumer: z.string(),
    topic: z.string(),
    /** Rows at or before this event time (milliseconds since 1970) are skipped. */
    since: z.int().nullable(),
    /** Maximum number of rows in one batch. */
    rows: z.int().positive(),
  }),
});
const enginePlanSchema = z
  .discriminatedUnion('mode', [streamPlanSchema, batchPlanSchema, joinPlanSchema])
  .describe('What the job in spark/ is told to do, version 1.');
export type StreamPlan = z.infer<typeof streamPlanSchema>;
export type BatchPlan = z.infer<typeof batchPlanSchema>;
export type EnginePlan = z.infer<typeof enginePlanSchema>;

/** Returns the JSON Schema of plans, against which the job in `spark/` validates them. */
export function enginePlanJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(enginePlanSchema);
}

/** The contents of a stream's plan, except where its events come from. */
export interface PlanOptions {
  readonly project: string;
  readonly contract: StreamContract;
  readonly views: readonly ViewVersion[];
  readonly stream: string;
  readonly begun: BegunRun;
}

/** Where the events and tables of streams are read from. */
export interface StreamInputs {
  readonly brokers: readonly string[];
  /** Maximum number of events in one micro-batch. */
  readonly maxEvents: number;
  /** How old a copy of a table may become before it is read again, in milliseconds. */
  readonly refresh: number;
  /** Folder of batch files. */
  readonly folder: string;
}

/**
 * Returns the plan of a stream, which reads a Kafka topic at most `maxEvents` events at a time. Throws BAD_REQUEST for
 * a table outside the folder, and ZodError for a plan that the job would not understand.
 */
export function streamPlan(
  { project, contract, views, stream, begun }: PlanOptions,
  { brokers, maxEvents, refresh, folder }: StreamInputs,
): StreamPlan {
  const { avro } = contract.meaning;
  const plan = planOf({ project, contract, views, stream, epoch: begun.epoch, folder, refresh });
  return streamPlanSchema.parse({
    ...plan,
    source: { ...plan.source, avro: avro ? { schema: avro.schema, urlEnv: REGISTRY_VARIABLE } : null },
    mode: 'stream',
    input: { kafka: { brokers: brokers.join(','), topic: contract.topic, maxEvents, options: {} } },
    views: views.map((view) => ({ ...viewPlanOf(view), positions: { ...begun.positions.get(view.table) } })),
  } satisfies StreamPlan);
}

interface AnyPlanOptions {
  readonly project: string;
  readonly contract: SourceContract;
  readonly views: readonly ViewVersion[];
  readonly stream: string;
  readonly epoch: number;
  readonly folder: string;
  readonly refresh: number;
}

/** Returns the parts of a plan that all modes share. */
function planOf(options: AnyPlanOptions): z.infer<typeof anyPlan> {
  const { project, contract, views, stream, epoch, folder, refresh } = options;
  const { source, meaning, limits, revision } = contract;
  return {
    version: 1,
    stream,
    epoch,
    revision,
    source: {
      name: source,
      schema: { ...meaning.schema },
      timestamp: meaning.timestamp,
      avro: null,
      checks: contract.views.map((view) => ({
        table: view.table,
        keys: view.keys.map((key) => key.column),
        summed: view.columns.filter((one) => one.summed).map((one) => one.column),
      })),
    },
    limits: { ...limits },
    tables: [...new Set(views.flatMap((view) => view.sql?.with ?? []))].sort().map((name) => {
      const table = contract.tables.get(name)!;
      return { name, schema: { ...table.schema }, input: tableInput(table, folder) };
    }),
    refresh,
    sink: sinkOf(project),
  };
}

function viewPlanOf(view: ViewVersion): z.infer<typeof viewPlan> {
  return {
    id: view.id,
    table: view.table,
    keys: view.keys.map((key) => ({ column: key.column, stored: storedKeyName(view, key.name) })),
    columns: view.columns.map(({ name, column }) => ({ name, column })),
    aggregation: view.aggregation && {
      aggregates: aggregatesOf(view.aggregation),
      hops: aggregationPlan(view.aggregation).hops.map(({ hop }) => hop),
    },
    sql: view.sql && {
      query: view.sql.query,
      timestamp: view.timestamp,
      keyTypes: view.keys.map(({ type }) => type),
      types: view.columns.map(({ type }) => type),
    },
  };
}

/** The contents of a batch's plan, with where its rows come from. */
export interface BatchPlanOptions {
  readonly project: string;
  readonly contract: SourceContract;
  readonly stream: string;
  readonly epoch: number;
  readonly input: TableInput;
  /** Folder of batch files. */
  readonly folder: string;
  readonly run: BatchPlan['run'];
}

/**
 * Returns the plan of a batch: all rows of a table, for all views of its source. Throws ZodError for a plan that the
 * job would not understand.
 */
export function batchPlan({ input, run, ...options }: BatchPlanOptions): BatchPlan {
  const views = [...options.contract.views, ...options.contract.queries];
  return batchPlanSchema.parse({
    // A batch reads each table once.
    ...planOf({ ...options, views, refresh: Number.MAX_SAFE_INTEGER }),
    mode: 'batch',
    input,
    views: views.map(viewPlanOf),
    run,
  } satisfies BatchPlan);
}

/** Returns whether two plans compute the same, wherever they begin. */
export function isSameWork(a: StreamPlan, b: StreamPlan): boolean {
  const work = ({ epoch, revision, views, ...plan }: StreamPlan): string =>
    JSON.stringify([plan, views.map(({ positions, ...view }) => view)]);
  return work(a) === work(b);
}
