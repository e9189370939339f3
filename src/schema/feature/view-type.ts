import { GraphQLEnumType, type GraphQLFieldConfigMap, GraphQLInt, GraphQLNonNull, GraphQLObjectType } from 'graphql';
import type { ViewVersion } from '../../definition/view-version.js';
import type { FeatureRow } from '../../retrieval/feature-row.js';
import { sourced } from '../lane/field-source.js';
import type { RequestContext } from '../request-context.js';
import { DateTime, graphqlTypeOf } from '../scalars.js';

/** The statuses of features, in GraphQL. */
export const FeatureStatusEnum = new GraphQLEnumType({
  name: 'FeatureStatus',
  description: 'Why a feature has the value that it has.',
  values: {
    PRESENT: { description: 'The value is there.' },
    NULL_VALUE: { description: 'A row is there, and it holds null for this feature.' },
    NOT_FOUND: { description: 'Nothing is known of this entity.' },
    OUTSIDE_MAX_AGE: { description: "The newest value is older than the view's TTL." },
    FORBIDDEN: { description: 'The caller may not see this feature.' },
    UNAVAILABLE: { description: 'No store could answer in time; ask again.' },
  },
});

/** Identifies what a generated field serves, so that a reload can tell whether the field is unchanged. */
export interface ServedField {
  readonly fstore: string;
}

/** Returns the description of a view in the schema. */
function describeView(view: ViewVersion): string {
  return [
    view.description ?? `Features of \`${view.name}\`.`,
    `View \`${view.id}\` of entity \`${view.entity}\`, from source \`${view.source}\`.`,
    view.ttl === null ? null : `Values older than ${view.ttl / 1000} s are OUTSIDE_MAX_AGE.`,
    view.owner ? `Owner: ${view.owner}.` : null,
  ]
    .filter((line) => line !== null)
    .join('\n');
}

/** The object type of a view version: its features, each a synchronous read of a loaded row, and when and why. */
export function createViewType(view: ViewVersion): GraphQLObjectType<FeatureRow, RequestContext> {
  return new GraphQLObjectType<FeatureRow, RequestContext>({
    name: view.typeName,
    description: describeView(view),
    fields: () => {
      const fields: GraphQLFieldConfigMap<FeatureRow, RequestContext> = {};
      for (const [index, feature] of view.features.entries()) {
        fields[feature.graphqlName] = {
          type: graphqlTypeOf(feature.type),
          description: feature.description ?? null,
          resolve: (row, _, { response }, { path }) =>
            response.show(path.key, row.values === null ? null : row.values[index]),
          extensions: {
            ...({ fstore: `${view.fingerprint}:${feature.name}` } satisfies ServedField),
            ...sourced({ kind: 'feature', index }),
          },
        };
      }
      fields.eventTime = {
        type: DateTime,
        description: 'When the row happened.',
        extensions: sourced({ kind: 'eventTime' }),
        resolve: (row, _, { response }, { path }) => response.show(path.key, row.eventTime),
      };
      fields.status = {
        type: new GraphQLNonNull(FeatureStatusEnum),
        description: 'Whether there is a row, and why not.',
        extensions: sourced({ kind: 'status' }),
        resolve: (row, _, { response }, { path }) => response.show(path.key, row.status),
      };
      fields.version = {
        type: new GraphQLNonNull(GraphQLInt),
        description: 'Version of the view.',
        extensions: sourced({ kind: 'constant', value: view.version }),
        resolve: (_row, _, { response }, { path }) => response.show(path.key, view.version),
      };
      return fields;
    },
  });
}
