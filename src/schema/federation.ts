/**
 * The subgraph side of Apollo Federation 2.9: `_entities`, `_service`, and the SDL that routers compose.
 *
 * Why not @apollo/subgraph: it builds from SDL, which takes ten times as long as building type objects at each reload.
 * It also depends on federation-internals under the Elastic licence. This file implements the two fields that a
 * programmatic schema needs of it.
 */
import {
  GraphQLEnumType,
  type GraphQLFieldConfig,
  GraphQLInputObjectType,
  GraphQLList,
  type GraphQLNamedType,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLScalarType,
  type GraphQLSchema,
  GraphQLString,
  GraphQLUnionType,
  isEnumType,
  isInputObjectType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedScalarType,
  printType,
} from 'graphql';
// graphql-js sorts schemas in this order: f2 comes before f10.
import { naturalCompare } from 'graphql/jsutils/naturalCompare.js';
import { FStoreError } from '../errors.js';
import type { EntitySchema } from './feature/entity-fields.js';
import { type EntityObject, readEntityKey } from './feature/entity-object.js';
import type { KeyAllowance } from './key-allowance.js';
import { sourced } from './lane/field-source.js';
import type { RequestContext } from './request-context.js';

const HEADER = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key"])';
const FEDERATION_FIELDS = ['_entities', '_service'];
const FEDERATION_TYPES = ['_Any', '_Entity', '_Service'];

const Any = new GraphQLScalarType({
  name: '_Any',
  description: 'A representation: `__typename` and the fields of a key.',
});
const Service = new GraphQLObjectType<{ sdl: () => string }>({
  name: '_Service',
  fields: {
    sdl: { type: GraphQLString, description: 'The SDL of this subgraph.', resolve: (service) => service.sdl() },
  },
});

/** Returns the field `_service { sdl }`. The SDL is printed when it is first requested. */
export function serviceField(sdl: () => string): GraphQLFieldConfig<unknown, RequestContext> {
  return { type: new GraphQLNonNull(Service), resolve: () => ({ sdl }) };
}

/**
 * Returns the field `_entities(representations: [_Any!]!): [_Entity]!`. An invalid representation resolves to null with
 * its own error.
 */
export function entitiesField(entities: readonly EntitySchema[]): GraphQLFieldConfig<unknown, RequestContext> {
  const byType = new Map(entities.map((one) => [one.entity.typeName, one.entity]));
  const union = new GraphQLUnionType({
    name: '_Entity',
    types: entities.map((one) => one.type),
    resolveType: (value) => (value as EntityObject).typeName,
  });
  const resolveOne = (representation: unknown, index: number): EntityObject | FStoreError => {
    const field = `representations.${index}`;
    if (typeof representation !== 'object' || representation === null) {
      return new FStoreError('BAD_REQUEST', 'a representation is an object', { field });
    }
    const inputs = representation as Record<string, unknown>;
    const entity = byType.get(`${inputs.__typename}`);
    if (!entity) {
      const message = `this subgraph has no entity ${`${inputs.__typename}`.slice(0, 80)}`;
      return new FStoreError('BAD_REQUEST', message, { field: `${field}.__typename` });
    }
    try {
      return { typeName: entity.typeName, key: readEntityKey(entity, inputs, 'field', field) };
    } catch (error) {
      if (error instanceof FStoreError) return error;
      throw error;
    }
  };
  const resolveAll = (
    args: Readonly<Record<string, unknown>>,
    allowance: KeyAllowance,
  ): (EntityObject | FStoreError)[] => {
    const representations = args.representations as readonly unknown[];
    allowance.take(representations.length, 'representations');
    return representations.map(resolveOne);
  };
  return {
    type: new GraphQLNonNull(new GraphQLList(union)),
    args: { representations: { type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(Any))) } },
    extensions: sourced({ kind: 'representations', resolve: resolveAll }),
    resolve: (_, args, context) => resolveAll(args, context.allowance),
  };
}

type Fields = ReturnType<GraphQLObjectType['toConfig']>['fields'];

function byName<T>(items: Readonly<Record<string, T>>): [name: string, item: T][] {
  return Object.entries(items).sort(([a], [b]) => naturalCompare(a, b));
}

function sortFields(fields: Fields): Fields {
  return Object.fromEntries(
    byName(fields).map(([name, field]) => [name, { ...field, args: Object.fromEntries(byName(field.args ?? {})) }]),
  );
}

/** Returns a type with its fields, arguments and values sorted by name. */
function sortType(type: GraphQLNamedType): GraphQLNamedType {
  if (isObjectType(type)) {
    const config = type.toConfig();
    return new GraphQLObjectType({ ...config, fields: sortFields(config.fields) });
  }
  if (isInputObjectType(type)) {
    const config = type.toConfig();
    return new GraphQLInputObjectType({ ...config, fields: Object.fromEntries(byName(config.fields)) });
  }
  if (!isEnumType(type)) return type;
  const config = type.toConfig();
  return new GraphQLEnumType({ ...config, values: Object.fromEntries(byName(config.values)) });
}

/** The printed form of each type. Schemas share the types of unchanged views, so those are printed once. */
const printed = new WeakMap<GraphQLNamedType, string>();

function printOne(type: GraphQLNamedType): string {
  let text = printed.get(type);
  if (text === undefined) {
    text = printType(sortType(type));
    const key = isObjectType(type) ? type.extensions.key : undefined;
    if (typeof key === 'string') text = text.replace(/^type \w+(?= [{])/m, (line) => `${line} @key(fields: "${key}")`);
    printed.set(type, text);
  }
  return text;
}

/**
 * Returns the SDL of a schema for a router: sorted, with `@key` directives, without the types and fields that
 * federation adds.
 */
export function printSubgraphSdl(schema: GraphQLSchema): string {
  const types = Object.entries(schema.getTypeMap()).flatMap(([name, type]): [string, GraphQLNamedType][] => {
    if (isIntrospectionType(type) || isSpecifiedScalarType(type) || FEDERATION_TYPES.includes(name)) return [];
    if (type !== schema.getQueryType()) return [[name, type]];
    const config = type.toConfig();
    const fields = Object.entries(config.fields).filter(([field]) => !FEDERATION_FIELDS.includes(field));
    return [[name, new GraphQLObjectType({ ...config, fields: Object.fromEntries(fields) })]];
  });
  const texts = byName(Object.fromEntries(types)).map(([, type]) => printOne(type));
  return `${[HEADER, ...texts].join('\n\n')}\n`;
}
