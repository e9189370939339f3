/** The plan of a run that joins a spine with history; see `engine-plan.ts`. Boundary: pure. */
import { resolve } from 'node:path';
import { z } from 'zod';
import { distinctWindows } from '../aggregation/window-set.js';
import { AGGREGATE_FUNCTIONS } from '../definition/aggregate-function.js';
import type { AggregationMeaning } from '../definition/definition-record.js';
import { valueTypeSchema } from '../definition/value-type.js';
import type { EngineJoin } from '../store/engine-join.js';
import { storedKeyName } from '../store/stored-key.js';
import { localPath, SINK_VARIABLE } from './table-input.js';

/** The aggregates of a view. */
export const aggregatesSchema = z.array(
  z.strictObject({
    function: z.enum(AGGREGATE_FUNCTIONS),
    column: z.string().nullable(),
    type: valueTypeSchema.nullable(),
    n: z.int().positive().nullable(),
  }),
);
/** The PostgreSQL schema of history and staged batches, and the variable that holds its URL. */
export const sinkSchema = z.strictObject({ schema: z.string(), urlEnv: z.string() });

/** A plan of mode `trainingSet`. */
export const joinPlanSchema = z.strictObject({
  version: z.literal(1),
  mode: z.literal('trainingSet'),
  name: z.string(),
  /**
   * A Parquet file with the columns `o` (ordinal), `at` (milliseconds since 1970) and `k0`… (join keys as canonical
   * text).
   */
  spine: z.string(),
  /** Folder for the result lines, which the run creates. */
  output: z.string(),
  partRows: z.int().positive(),
  before: z.boolean(),
  views: z
    .array(
      z.strictObject({
        table: z.string(),
        /** The key columns of history, and the indexes of the spine's key columns that they equal. */
        keys: z.array(z.strictObject({ stored: z.string(), spine: z.int().nonnegative() })).min(1),
        columns: z.array(z.strictObject({ name: z.string(), type: valueTypeSchema })),
        aggregation: z
          .strictObject({
            aggregates: aggregatesSchema,
            /** `aggregates` holds the indexes of the aggregates that are requested over the window. */
            windows: z
              .array(
                z.strictObject({
                  length: z.int().positive(),
                  hop: z.int().positive(),
                  aggregates: z.array(z.int().nonnegative()).min(1),
                }),
              )
              .min(1),
          })
          .nullable(),
      }),
    )
    .min(1),
  sink: sinkSchema,
});
type JoinPlan = z.infer<typeof joinPlanSchema>;

/** Returns the plan of a join of a spine with history. Throws ZodError if the job would not understand it. */
export function joinPlan(project: string, join: EngineJoin): JoinPlan {
  const { name, partRows, before } = join;
  return joinPlanSchema.parse({
    version: 1,
    mode: 'trainingSet',
    name,
    spine: localPath(join.spine),
    output: `file://${resolve(join.output)}`,
    partRows,
    before,
    views: join.views.map(({ view, keys }) => ({
      table: view.table,
      keys: view.keys.map((key, index) => ({ stored: storedKeyName(view, key.name), spine: keys[index]! })),
      columns: view.columns.map((column) => ({ name: column.name, type: column.type })),
      aggregation: view.aggregation && {
        aggregates: aggregatesOf(view.aggregation),
        windows: windowsOf(view.aggregation),
      },
    })),
    sink: sinkOf(project),
  } satisfies JoinPlan);
}

/** Returns the aggregates of a view in the form of a plan. */
export function aggregatesOf({ aggregates }: AggregationMeaning): z.infer<typeof aggregatesSchema> {
  return aggregates.map(({ function: name, column, type, n }) => ({ function: name, column, type, n }));
}

function windowsOf(aggregation: AggregationMeaning): { length: number; hop: number; aggregates: number[] }[] {
  return distinctWindows(aggregation).map(({ length, hop, features }) => ({
    length,
    hop,
    aggregates: [...new Set(features.map((feature) => aggregation.features[feature]!.aggregate))],
  }));
}

/** Returns where a run of this project reads history and stages its results. */
export function sinkOf(project: string): z.infer<typeof sinkSchema> {
  return { schema: `fstore_${project}`, urlEnv: SINK_VARIABLE };
}
