/**
 * What an engine outside of this process is told: one JSON document, compiled from the registry. It is checked against its schema before
 * it is sent; the job checks that it reads this version.
 *
 * Boundary: pure. A plan holds no password: where one is needed, it names the environment variable.
 */
import { z } from 'zod';
import { aggregationPlan } from '../aggregation/tile-set.js';
import { AGGREGATE_FUNCTIONS } from '../definition/aggregate-function.js';
import { valueTypeSchema } from '../definition/value-type.js';
import type { ViewVersion } from '../definition/view-version.js';
import type { BegunRun } from '../store/staged-batches.js';
import { storedKeyName } from '../store/stored-key.js';
import type { StreamContract } from './source-contract.js';

/** Environment variable from which a run takes the address of PostgreSQL. */
export const SINK_VARIABLE = 'FSTORE_SPARK_SINK_URL';

const options = z.record(z.string(), z.string());
const offsets = z.record(z.string().regex(/^\d+$/), z.string().regex(/^\d+$/));

const kafkaInput = z.strictObject({
  kafka: z.strictObject({ brokers: z.string(), topic: z.string(), maxEvents: z.int().positive(), options }),
});
const viewPlan = z.strictObject({
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
      // What every view of the source asks of an event, whoever computes it: what one refuses, all refuse.
      checks: z.array(
        z.strictObject({ table: z.string(), keys: z.array(z.string()).min(1), summed: z.array(z.string()) }),
      ),
    }),
    limits: z.strictObject({ clockSkew: z.int().nonnegative(), maxBytes: z.int().positive() }),
    input: kafkaInput,
    views: z.array(viewPlan),
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

/**
 * The plan of a stream: events of a topic of Kafka, `maxEvents` at a time.
 * Throws ZodError for one that the job would not understand.
 */
export function streamPlan(
  { project, contract, views, stream, begun }: PlanOptions,
  { brokers, maxEvents }: { readonly brokers: readonly string[]; readonly maxEvents: number },
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
      checks: contract.views.map((view) => ({
        table: view.table,
        keys: view.keys.map((key) => key.column),
        summed: view.columns.filter((one) => one.summed).map((one) => one.column),
      })),
    },
    limits: { ...limits },
    input: { kafka: { brokers: brokers.join(','), topic, maxEvents, options: {} } },
    views: views.map((view) => ({
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
    })),
    sink: { schema: `fstore_${project}`, urlEnv: SINK_VARIABLE },
  } satisfies EnginePlan);
}

/** True if two plans compute the same, wherever they begin. */
export function isSameWork(a: EnginePlan, b: EnginePlan): boolean {
  const work = ({ epoch, revision, views, ...plan }: EnginePlan): string =>
    JSON.stringify([plan, views.map(({ positions, ...view }) => view)]);
  return work(a) === work(b);
}
