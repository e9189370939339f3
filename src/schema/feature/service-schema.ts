/**
 * A feature service in the schema: a flat vector of features, asked for by the join keys of all its entities.
 *
 * Boundary: the service's views are pinned versions; on-demand features and request data come with their own kinds.
 */
import {
  type GraphQLFieldConfig,
  type GraphQLFieldConfigMap,
  GraphQLID,
  GraphQLInputObjectType,
  GraphQLInt,
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLString,
} from 'graphql';
import { type EntityKey, readKey } from '../../definition/entity-key.js';
import { camelCase } from '../../definition/graphql-name.js';
import { serviceKeysType } from '../../definition/schema-names.js';
import type { ServiceType } from '../../definition/service-type.js';
import type { KeyType } from '../../definition/value-type.js';
import type { ViewVersion } from '../../definition/view-version.js';
import { FStoreError } from '../../errors.js';
import { type FeatureRow, featureStatus } from '../../retrieval/feature-row.js';
import type { StreamedUpdate } from '../../retrieval/update-feed.js';
import type { RequestContext } from '../request-context.js';
import { DateTime, graphqlTypeOf } from '../scalars.js';
import { checkListLength } from './entity-object.js';
import { FeatureStatusEnum } from './view-type.js';

/** What the vector's fields read: one row for each view, and the keys as they were asked for. */
interface Vector {
  readonly keys: Readonly<Record<string, string>>;
  readonly rows: readonly FeatureRow[];
}

interface ServedFeature {
  readonly field: string;
  readonly viewIndex: number;
  readonly featureIndex: number;
}

interface JoinArgument {
  readonly argument: string;
  readonly type: KeyType;
}

/** A service with its types and fields of the schema. */
export interface ServiceSchema {
  readonly type: GraphQLObjectType;
  readonly one: GraphQLFieldConfig<unknown, RequestContext>;
  readonly many: GraphQLFieldConfig<unknown, RequestContext>;
  readonly updated: GraphQLFieldConfig<unknown, RequestContext>;
}

const id = new GraphQLNonNull(GraphQLID);

export const FeatureStatusEntry = new GraphQLObjectType({
  name: 'FeatureStatusEntry',
  description: 'Status and event time of one feature in a vector.',
  fields: {
    feature: { type: new GraphQLNonNull(GraphQLString), description: 'Field of the feature in the vector.' },
    status: { type: new GraphQLNonNull(FeatureStatusEnum) },
    eventTime: { type: DateTime },
  },
});

/** Builds types and fields of a service whose pinned views are given by `name@version`. */
export function createServiceSchema(service: ServiceType, views: ReadonlyMap<string, ViewVersion>): ServiceSchema {
  const pinned: ViewVersion[] = [];
  const features: ServedFeature[] = service.features.map((feature) => {
    const view = views.get(`${feature.view}@${feature.version}`);
    if (!view)
      throw new FStoreError(
        'SCHEMA_INVALID',
        `service ${service.name} reads ${feature.view}@${feature.version}, which is not active`,
      );
    if (!pinned.includes(view)) pinned.push(view);
    const featureIndex = view.features.findIndex((one) => one.name === feature.feature);
    return { field: feature.field, viewIndex: pinned.indexOf(view), featureIndex };
  });
  const joins = new Map<string, JoinArgument>();
  for (const view of pinned) {
    for (const key of view.keys) joins.set(key.name, { argument: camelCase(key.name), type: key.type });
  }
  const stamp = pinned.map((view) => view.fingerprint).join(':');
  const type = createVectorType(service, pinned, features, [...joins.values()]);
  const keysInput = new GraphQLInputObjectType({
    name: serviceKeysType(service.typeName),
    description: `The join keys of one vector of ${service.typeName}.`,
    fields: Object.fromEntries([...joins.values()].map((join) => [join.argument, { type: id }])),
  });

  const readKeys = (
    inputs: Readonly<Record<string, unknown>>,
    place: string,
  ): { keys: Record<string, string>; byView: EntityKey[] } => {
    const keys: Record<string, string> = {};
    for (const join of joins.values()) {
      const read = readKey([join.type], [inputs[join.argument]]);
      const field = `${place}${join.argument}`;
      if (!read.ok)
        throw new FStoreError('KEY_INVALID', `${field} is no join key of ${service.name}: ${read.reason}`, { field });
      keys[join.argument] = read.key.parts[0]!;
    }
    const byView = pinned.map((view) => {
      const read = readKey(
        view.keys.map((key) => key.type),
        view.keys.map((key) => keys[camelCase(key.name)]),
      );
      if (!read.ok) throw new FStoreError('INTERNAL', `a canonical key of ${view.id} cannot be read`);
      return read.key;
    });
    return { keys, byView };
  };
  const vector = async (
    inputs: Readonly<Record<string, unknown>>,
    place: string,
    context: RequestContext,
  ): Promise<Vector> => {
    const { keys, byView } = readKeys(inputs, place);
    const rows = await Promise.all(pinned.map((view, index) => context.loader.load(view, byView[index]!)));
    return { keys, rows };
  };
  const listArgs = {
    keys: {
      type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(keysInput))),
      description: 'One entry for each vector.',
    },
  };
  const description = service.description ?? `Features of the service \`${service.name}\`.`;
  return {
    type,
    one: {
      type: new GraphQLNonNull(type),
      description,
      args: Object.fromEntries([...joins.values()].map((join) => [join.argument, { type: id }])),
      extensions: { fstore: stamp },
      resolve: (_, args, context) => vector(args, '', context),
    },
    many: {
      type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(type))),
      description: `${description} Many vectors, in the order of their keys.`,
      args: listArgs,
      extensions: { fstore: stamp },
      resolve: (_, args, context) => {
        const list = args.keys as readonly Record<string, unknown>[];
        checkListLength(list.length, 'keys', context);
        return Promise.all(list.map((inputs, index) => vector(inputs, `keys.${index}.`, context)));
      },
    },
    updated: {
      type: new GraphQLNonNull(type),
      description: `The vector of one of the given keys each time one of its features has a new value.`,
      args: listArgs,
      extensions: { fstore: stamp },
      subscribe: (_, args, context) => {
        const list = args.keys as readonly Record<string, unknown>[];
        checkListLength(list.length, 'keys', context);
        const interests = list.flatMap((inputs, index) => {
          const { byView } = readKeys(inputs, `keys.${index}.`);
          return pinned.map((view, position) => ({ view: view.id, key: byView[position]!.text, tag: `${index}` }));
        });
        return context.services.updates.open(interests);
      },
      resolve: (source, args, context) => {
        const { update, tag } = source as StreamedUpdate;
        const view = pinned.find((one) => one.id === update.view);
        if (!view)
          throw new FStoreError('INTERNAL', `an update of ${update.view} reached a service that does not read it`);
        context.startEvent(view, update.key, update.value);
        const list = args.keys as readonly Record<string, unknown>[];
        return vector(list[Number(tag)] ?? {}, '', context);
      },
    },
  };
}

function createVectorType(
  service: ServiceType,
  pinned: readonly ViewVersion[],
  features: readonly ServedFeature[],
  joins: readonly JoinArgument[],
): GraphQLObjectType<Vector> {
  return new GraphQLObjectType<Vector>({
    name: service.typeName,
    description: `${service.description ?? `Features of the service \`${service.name}\`.`}\nReads ${pinned.map((view) => `\`${view.id}\``).join(', ')}.`,
    fields: () => {
      const fields: GraphQLFieldConfigMap<Vector, unknown> = {};
      for (const { argument } of joins) {
        fields[argument] = {
          type: id,
          description: 'Join key, as it was asked for.',
          resolve: (vector) => vector.keys[argument],
        };
      }
      for (const { field, viewIndex, featureIndex } of features) {
        const view = pinned[viewIndex]!;
        const feature = view.features[featureIndex]!;
        fields[field] = {
          type: graphqlTypeOf(feature.type),
          description: feature.description ?? `\`${view.name}:${feature.name}\``,
          resolve: (vector) => vector.rows[viewIndex]?.values?.[featureIndex] ?? null,
          extensions: { fstore: `${view.fingerprint}:${feature.name}` },
        };
      }
      fields.statuses = {
        type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(FeatureStatusEntry))),
        description: 'Why each feature has the value that it has.',
        resolve: (vector) =>
          features.map(({ field, viewIndex, featureIndex }) => {
            const row = vector.rows[viewIndex]!;
            return { feature: field, status: featureStatus(row, featureIndex), eventTime: row.eventTime };
          }),
      };
      fields.serviceVersion = {
        type: new GraphQLNonNull(GraphQLInt),
        description: 'Version of the service.',
        resolve: () => service.version,
      };
      return fields;
    },
  });
}
