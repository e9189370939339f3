/**
 * The definitions that data teams write. One zod schema for each kind gives types, error messages and JSON Schema.
 *
 * Boundary: the form of a single definition. `meaning.ts` and `plan.ts` check definitions against each other.
 */
import { z } from 'zod';
import { AGGREGATE_FUNCTIONS } from './aggregate-function.js';
import { batchSchema, engineSchema } from './batch-input.js';
import { durationSchema } from './duration.js';
import { isSingleSelect } from './sql-text.js';
import { streamSchema } from './stream-schema.js';
import { fittedParametersSchema, transformerOptionsSchema } from './transformer-options.js';
import { keyTypeSchema, valueTypeSchema } from './value-type.js';

const NAME = /^[a-z](?:_?[a-z0-9])*$/;
const GRAPHQL_TYPE = /^[A-Z][A-Za-z0-9]*$/;
const GRAPHQL_FIELD = /^[a-z][A-Za-z0-9]*$/;

const name = z
  .string()
  .max(58, 'a name has at most 58 characters')
  .regex(NAME, 'a name is lower case with single underscores, such as user_stats')
  .describe('Name in snake_case; unique among its kind in the project.');
/** Columns that PostgreSQL has in every table, whose names a table of its own cannot give to others. */
const SYSTEM_COLUMNS: ReadonlySet<string> = new Set(['ctid', 'xmin', 'xmax', 'cmin', 'cmax', 'tableoid']);
const column = name.refine((text) => !SYSTEM_COLUMNS.has(text), {
  error: ({ input }) => `${input} is the name of a system column of PostgreSQL; choose another name`,
});
const graphqlType = z.string().max(80).regex(GRAPHQL_TYPE, 'a GraphQL type name is PascalCase, such as UserStats');
const graphqlField = z.string().max(80).regex(GRAPHQL_FIELD, 'a GraphQL field name is camelCase, such as userStats');

const documented = {
  description: z.string().max(4000).optional().describe('What this is, in words; shown in the GraphQL schema.'),
  owner: z.string().max(200).optional().describe('The team or person that answers for it.'),
  tags: z.record(z.string().max(100), z.string().max(400)).optional().describe('Free labels.'),
};

export const entitySchema = z
  .strictObject({
    kind: z.literal('entity'),
    name,
    joinKeys: z
      .array(z.strictObject({ name: column, type: keyTypeSchema }))
      .min(1)
      .max(8)
      .describe('The columns that identify one entity.'),
    graphql: z
      .strictObject({
        type: graphqlType.optional().describe('Name of the entity type; default: the name in PascalCase.'),
        key: graphqlField.optional().describe('Field that holds a single join key; default `id`.'),
        field: graphqlField.optional().describe('Query field for one entity; default: the name in camelCase.'),
        plural: graphqlField.optional().describe('Query field for a list of entities; default: the plural of it.'),
      })
      .optional(),
    ...documented,
  })
  .describe('A thing that features describe, such as a user.');

/** The engine that computes a view or reads a source in batches. */
export type Engine = z.infer<typeof engineSchema>;

export const sourceSchema = z
  .strictObject({
    kind: z.literal('source'),
    name,
    schema: z
      .record(column, valueTypeSchema)
      .refine((schema) => Object.keys(schema).length <= 1000, 'a source has at most 1000 columns')
      .describe('Columns of the source and their types.'),
    timestamp: name.describe('The TIMESTAMP column that says when an event happened.'),
    stream: streamSchema.optional().describe('Where events of this source arrive.'),
    batch: batchSchema.optional(),
    ...documented,
  })
  .describe('Where the raw data of feature views comes from.');

const feature = z.union([
  column,
  z.strictObject({
    name: column,
    column: name.optional().describe('Column of the source; default: the name of the feature.'),
    graphql: graphqlField.optional().describe('Field in the GraphQL schema; default: the name in camelCase.'),
    description: documented.description,
    tags: documented.tags,
  }),
]);

const aggregation = z.strictObject({
  name: name.describe('Features are named after it and the window: spend over 7d is spend_7d.'),
  function: z.enum(AGGREGATE_FUNCTIONS),
  column: name.optional().describe('Column of the source; `count` without one counts events.'),
  n: z.int().min(1).max(100).optional().describe('How many values lastN keeps.'),
  windows: z
    .array(durationSchema)
    .min(1)
    .max(24)
    .describe('Lengths of time over which it is computed, such as 1h or 7d.'),
  hop: durationSchema
    .optional()
    .describe('The end of a window moves in steps of a hop; default: 5m below 12h, 1h below 12d, then 1d.'),
  description: documented.description,
  tags: documented.tags,
});

const sql = z.strictObject({
  query: z
    .string()
    .trim()
    .min(1)
    .max(20_000)
    .refine(isSingleSelect, 'expected one SELECT (or WITH … SELECT), with no semicolon')
    .describe(
      'SELECT in the SQL of Spark, over the events of the source; gives join keys, event time and features by name.',
    ),
  with: z.array(name).max(20).optional().describe('Further sources, which are read as tables from their `batch`.'),
  features: z
    .record(column, valueTypeSchema)
    .refine((features) => {
      const { length } = Object.keys(features);
      return length >= 1 && length <= 900;
    }, 'a view has between 1 and 900 features')
    .describe('Columns of the result that are features, and their types.'),
});

/** A view has exactly one of these fields. */
const TRANSFORMATIONS = ['features', 'aggregations', 'sql'] as const;

export const featureViewSchema = z
  .strictObject({
    kind: z.literal('featureView'),
    name,
    entity: name.describe('The entity that the features describe.'),
    source: name.describe('The source that the features come from.'),
    joinKeys: z
      .record(name, name)
      .optional()
      .describe('Join key → column of the source (of the result of `sql`), where the two have different names.'),
    ttl: durationSchema.optional().describe('A value older than this is OUTSIDE_MAX_AGE; default: no limit.'),
    engine: engineSchema
      .optional()
      .describe('What computes it from the stream: FStore itself (default), or Spark; the values are the same.'),
    // A row of PostgreSQL holds about 990 numbers or 330 texts. The offline store refuses rows that are too wide.
    features: z.array(feature).min(1).max(900).optional().describe('Columns of the source that become features.'),
    aggregations: z
      .array(aggregation)
      .min(1)
      .max(100)
      .optional()
      .describe('Features that are computed from all events within a window of time.'),
    sql: sql.optional().describe('Features that a query computes from each event; needs `engine: spark`.'),
    graphql: z
      .strictObject({
        type: graphqlType.optional().describe('Name of the GraphQL type; default: the name in PascalCase.'),
        field: graphqlField.optional().describe('Field on the entity; default: the name without the entity.'),
      })
      .optional(),
    ...documented,
  })
  .superRefine((view, context) => {
    const given = TRANSFORMATIONS.filter((key) => view[key] !== undefined);
    if (given.length === 1) return;
    const message = `a feature view has one of ${TRANSFORMATIONS.join(', ')}; this one has ${given.join(' and ') || 'none'}`;
    context.addIssue({ code: 'custom', message, path: [given[1] ?? TRANSFORMATIONS[0]] });
  })
  .describe('Features of one entity, computed from one source.');

export const onDemandFeatureViewSchema = z
  .strictObject({
    kind: z.literal('onDemandFeatureView'),
    name,
    request: z
      .record(name, valueTypeSchema)
      .optional()
      .describe('Values that come with a request, and their types; expressions read them as `request.name`.'),
    features: z
      .array(
        z.strictObject({
          name,
          type: valueTypeSchema,
          expression: z
            .string()
            .min(1)
            .max(4000)
            .describe('CEL over `view.feature` and `request.name`, such as `request.amount / user_spending.spend_7d`.'),
          description: documented.description,
          tags: documented.tags,
        }),
      )
      .min(1)
      .max(500),
    ...documented,
  })
  .describe('Features that are computed when they are asked for, the same way online and in training sets.');

export const transformerSchema = z
  .strictObject({
    kind: z.literal('transformer'),
    name,
    feature: z
      .string()
      .regex(/^[a-z][a-z0-9_]*(?:@[1-9]\d{0,5})?:[a-z][a-z0-9_]*$/, 'expected view:feature')
      .describe('The feature that it is applied to, as `view:feature`.'),
    transform: transformerOptionsSchema,
    parameters: fittedParametersSchema
      .optional()
      .describe('What fitting has found; written by FStore, and kept when the transformer is applied without.'),
    fittedOn: z.string().max(100).optional().describe('The training set that it was fitted on.'),
    ...documented,
  })
  .describe('Makes a feature ready for a model; fitted on the train split of a training set.');

const featureReference = z
  .string()
  .regex(/^[a-z][a-z0-9_]*(?:@[1-9]\d{0,5})?(?::[a-z][a-z0-9_]*)?$/, 'expected view, view:feature or view@2:feature');

export const featureServiceSchema = z
  .strictObject({
    kind: z.literal('featureService'),
    name,
    features: z
      .array(
        z.union([
          featureReference,
          z.strictObject({
            feature: featureReference,
            as: graphqlField.optional().describe('Field in the answer of the service.'),
          }),
        ]),
      )
      .min(1)
      .max(2000)
      .describe(
        'Features that one model reads: `view`, `view:feature`, `view@2:feature`, or the name of a transformer.',
      ),
    graphql: z.strictObject({ type: graphqlType.optional(), field: graphqlField.optional() }).optional(),
    ...documented,
  })
  .describe('The list of features that one model reads together.');

/** White space around a document is removed: YAML files add it, and clients do not send it. */
const operation = z
  .string()
  .trim()
  .min(1)
  .max(16_384)
  .describe('A GraphQL document with one operation and its fragments, as clients send it.');

export const consumerSchema = z
  .strictObject({
    kind: z.literal('consumer'),
    name,
    operations: z
      .array(operation)
      .min(1)
      .max(500)
      .refine((operations) => new Set(operations).size === operations.length, 'an operation is in the list twice')
      .describe('What it asks FStore: each is known by its SHA-256, and checked whenever the schema changes.'),
    ...documented,
  })
  .describe('A program that reads features, with the operations that it sends.');

export const definitionSchema = z.discriminatedUnion('kind', [
  entitySchema,
  sourceSchema,
  featureViewSchema,
  onDemandFeatureViewSchema,
  transformerSchema,
  featureServiceSchema,
  consumerSchema,
]);

export type Entity = z.infer<typeof entitySchema>;
export type Source = z.infer<typeof sourceSchema>;
export type FeatureView = z.infer<typeof featureViewSchema>;
export type OnDemandFeatureView = z.infer<typeof onDemandFeatureViewSchema>;
export type Transformer = z.infer<typeof transformerSchema>;
export type FeatureService = z.infer<typeof featureServiceSchema>;
export type Consumer = z.infer<typeof consumerSchema>;
export type Definition = z.infer<typeof definitionSchema>;
export type DefinitionKind = Definition['kind'];

/** Every kind that this version of FStore knows. */
export const DEFINITION_KINDS: ReadonlySet<string> = new Set(
  definitionSchema.options.map((option) => option.shape.kind.value),
);

/** Returns the JSON Schema of a document in a definition file, for editors. */
export function definitionJsonSchema(): Record<string, unknown> {
  return {
    title: 'FStore definition',
    ...z.toJSONSchema(definitionSchema, { io: 'input' }),
  };
}
