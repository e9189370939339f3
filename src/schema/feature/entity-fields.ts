/** The root fields of an entity: one by key, many by keys, and a subscription for each of its views. */
import {
  type GraphQLFieldConfig,
  type GraphQLFieldConfigArgumentMap,
  GraphQLID,
  type GraphQLInputObjectType,
  GraphQLList,
  GraphQLNonNull,
  type GraphQLObjectType,
} from 'graphql';
import type { EntityKey } from '../../definition/entity-key.js';
import type { EntityType } from '../../definition/entity-type.js';
import type { ViewVersion } from '../../definition/view-version.js';
import type { StreamedUpdate } from '../../retrieval/update-feed.js';
import type { KeyAllowance } from '../key-allowance.js';
import { sourced } from '../lane/field-source.js';
import type { RequestContext } from '../request-context.js';
import { type EntityObject, listArguments, readEntityKey, readKeyList } from './entity-object.js';

type RootField = GraphQLFieldConfig<unknown, RequestContext>;

/** An entity with its types in the schema. */
export interface EntitySchema {
  readonly entity: EntityType;
  readonly type: GraphQLObjectType<EntityObject, RequestContext>;
  readonly keyInput: GraphQLInputObjectType | null;
}

/** Returns the field that reads one entity: `user(id: ID!): User!`. */
export function oneEntityField({ entity, type }: EntitySchema): RootField {
  const args: GraphQLFieldConfigArgumentMap = {};
  for (const key of entity.keys)
    args[key.field] = { type: new GraphQLNonNull(GraphQLID), description: `Join key \`${key.name}\`.` };
  const readOne = (inputs: Readonly<Record<string, unknown>>, allowance: KeyAllowance): EntityKey => {
    allowance.take(1, entity.keys[0]!.field);
    return readEntityKey(entity, inputs, 'field');
  };
  return {
    type: new GraphQLNonNull(type),
    description: `One ${entity.typeName} by its key. Whether it exists is for others to say: features tell by their status.`,
    args,
    extensions: sourced({
      kind: 'entities',
      isList: false,
      keysOf: (inputs, allowance) => [readOne(inputs, allowance)],
    }),
    resolve: (_, inputs, context): EntityObject => ({
      typeName: entity.typeName,
      key: readOne(inputs, context.allowance),
    }),
  };
}

/** Returns the field that reads many entities: `users(ids: [ID!]!): [User!]!`, in the order of the ids. */
export function manyEntitiesField({ entity, type, keyInput }: EntitySchema): RootField {
  return {
    type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(type))),
    description: `Many of ${entity.typeName}, in the order of their keys.`,
    args: listArguments(keyInput, true, 'The keys asked for.'),
    extensions: sourced({
      kind: 'entities',
      isList: true,
      keysOf: (args, allowance) => readKeyList(entity, args, allowance) ?? [],
    }),
    resolve: (_, args, context): EntityObject[] =>
      (readKeyList(entity, args, context.allowance) ?? []).map((key) => ({ typeName: entity.typeName, key })),
  };
}

/**
 * Returns the subscription field of a view: `userStatsUpdated(ids: [ID!]): User!`. It sends the entity whenever the
 * view has a new value for it.
 */
export function viewUpdatedField(view: ViewVersion, { entity, type, keyInput }: EntitySchema): RootField {
  return {
    type: new GraphQLNonNull(type),
    description: `The ${entity.typeName} each time \`${view.id}\` has a new value for it; the latest only, if you read slowly.`,
    args: listArguments(keyInput, false, 'Only these; default: all.'),
    extensions: { fstore: view.fingerprint },
    subscribe: (_, args, context) => {
      const keys = readKeyList(entity, args, context.allowance);
      const interests = (keys?.map((key) => key.text) ?? [null]).map((key) => ({ view: view.id, key, tag: null }));
      return context.services.updates.open(interests);
    },
    resolve: (source, _, context): EntityObject => {
      const { update } = source as StreamedUpdate;
      context.startEvent(view, update.key, update.value);
      return { typeName: entity.typeName, key: update.key };
    },
  };
}
