/**
 * The schemas of transformers: the options that people write, and the parameters that fitting finds.
 *
 * Invariant: parameters are plain JSON with a version, so that a model can store them and later releases can read them.
 */
import { z } from 'zod';

const edges = z
  .array(z.number())
  .min(1)
  .max(1000)
  .refine((list) => list.every((edge, index) => index === 0 || edge > (list[index - 1] as number)), {
    error: 'edges ascend, each larger than the one before',
  })
  .describe('Edges between the buckets, ascending; below the first and from the last on are buckets of their own.');

const level = z.number().min(0).max(1);

/** The schema of a transformer's options. */
export const transformerOptionsSchema = z
  .discriminatedUnion('type', [
    z.strictObject({ type: z.literal('standard') }).describe('(x − mean) / standard deviation of the population.'),
    z.strictObject({ type: z.literal('minMax') }).describe('(x − min) / (max − min).'),
    z.strictObject({ type: z.literal('robust') }).describe('(x − median) / (75th − 25th percentile).'),
    z.strictObject({ type: z.literal('label') }).describe('The place of the value among the sorted categories, or −1.'),
    z.strictObject({ type: z.literal('oneHot') }).describe('A list with 1 at the place of the category, else 0.'),
    z.strictObject({ type: z.literal('log') }).describe('log(1 + x); null where x ≤ −1.'),
    z
      .strictObject({
        type: z.literal('bucketizer'),
        edges: edges.optional(),
        buckets: z.int().min(2).max(1000).optional().describe('Number of buckets with equally many training rows.'),
      })
      .refine((options) => (options.edges === undefined) !== (options.buckets === undefined), {
        error: 'a bucketizer has either edges or buckets',
      })
      .describe('The number of the bucket, from 0, that the value lies in.'),
    z
      .strictObject({
        type: z.literal('imputer'),
        strategy: z.enum(['mean', 'median', 'most_frequent', 'constant']),
        value: z
          .union([z.string(), z.number(), z.boolean()])
          .optional()
          .describe('The constant, as in JSON: INT64 beyond 2^53 as decimal string, TIMESTAMP as ISO 8601.'),
      })
      .refine((options) => (options.strategy === 'constant') === (options.value !== undefined), {
        error: 'the strategy constant needs a value, the others take none',
      })
      .describe('A value in place of null.'),
    z
      .strictObject({
        type: z.literal('clip'),
        min: z.number().optional(),
        max: z.number().optional(),
        quantiles: z.tuple([level, level]).optional().describe('Levels of the bounds, such as [0.01, 0.99].'),
      })
      .refine(({ min, max, quantiles }) => (quantiles === undefined) !== (min === undefined && max === undefined), {
        error: 'clip has either min and max, at least one of them, or quantiles',
      })
      .refine(
        ({ min, max, quantiles }) =>
          (min ?? -Infinity) <= (max ?? Infinity) && (!quantiles || quantiles[0] < quantiles[1]),
        {
          error: 'the lower bound lies below the upper',
        },
      )
      .describe('The value, but never beyond the bounds.'),
  ])
  .describe('How a feature is made ready for a model; fitted on the training rows.');

export type TransformerOptions = z.infer<typeof transformerOptionsSchema>;
export type TransformerType = TransformerOptions['type'];

const version = z.literal(1);
const known = z.number().nullable();
const constant = z.union([z.string(), z.number(), z.boolean()]);
const categories = z.array(constant).max(10_000);

/** The schema of a fitted transformer's parameters. */
export const fittedParametersSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('standard'), version, mean: known, deviation: known }),
  z.strictObject({ type: z.literal('minMax'), version, min: known, max: known }),
  z.strictObject({ type: z.literal('robust'), version, lower: known, median: known, upper: known }),
  z.strictObject({ type: z.literal('label'), version, categories }),
  z.strictObject({ type: z.literal('oneHot'), version, categories }),
  z.strictObject({ type: z.literal('log'), version }),
  z.strictObject({ type: z.literal('bucketizer'), version, edges: z.array(z.number()) }),
  z.strictObject({ type: z.literal('imputer'), version, value: constant.nullable() }),
  z.strictObject({ type: z.literal('clip'), version, min: known, max: known }),
]);

export type FittedParameters = z.infer<typeof fittedParametersSchema>;
export type ParametersOf<Type extends TransformerType> = Extract<FittedParameters, { type: Type }>;
