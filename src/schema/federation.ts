/**
 * The subgraph side of Apollo Federation 2.9: `_entities` and `_service`, and the SDL that routers compose.
 *
 * Why not @apollo/subgraph: it builds from SDL, which costs ten times the build of type objects at each reload, and it
 * carries federation-internals under the Elastic licence. What remains of it here are the two fields below.
 */
import {
  type GraphQLFieldConfig,
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLScalarType,
  GraphQLSchema,
  GraphQLString,
  GraphQLUnionType,
  isObjectType,
  lexicographicSortSchema,
  printSchema,
} from 'graphql';
import { FStoreError } from '../errors.js';
import type { EntitySchema } from './feature/entity-fields.js';
import { checkListLength, type EntityObject, readEntityKey } from './feature/entity-object.js';
import { sourced } from './lane/field-source.js';
import type { RequestContext } from './request-context.js';

const HEADER = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key"])';
const FEDERATION_FIELDS = ['_entities', '_service'];

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

/** `_service { sdl }`; the SDL is printed when it is first asked for. */
export function serviceField(sdl: () => string): GraphQLFieldConfig<unknown, RequestContext> {
  return { type: new GraphQLNonNull(Service), resolve: () => ({ sdl }) };
}

/** `_entities(representations: [_Any!]!): [_Entity]!`; a representation that cannot be read is null with its own error. */
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
  const resolveAll = (args: Readonly<Record<string, unknown>>, maxKeys: number): (EntityObject | FStoreError)[] => {
    const representations = args.representations as readonly unknown[];
    checkListLength(representations.length, 'representations', maxKeys);
    return representations.map(resolveOne);
  };
  return {
    type: new GraphQLNonNull(new GraphQLList(union)),
    args: { representations: { type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(Any))) } },
    extensions: sourced({ kind: 'representations', resolve: resolveAll }),
    resolve: (_, args, context) => resolveAll(args, context.services.maxKeys),
  };
}

/** The SDL of a schema as a router composes it: sorted, with keys, without what federation adds itself. */
export function printSubgraphSdl(schema: GraphQLSchema): string {
  const config = schema.toConfig();
  const query = config.query?.toConfig();
  const keys = new Map<string, string>();
  for (const type of config.types) {
    if (isObjectType(type) && typeof type.extensions.key === 'string') keys.set(type.name, type.extensions.key);
  }
  const fields = Object.entries(query?.fields ?? {}).filter(([name]) => !FEDERATION_FIELDS.includes(name));
  const own = new GraphQLSchema({
    ...config,
    query: query ? new GraphQLObjectType({ ...query, fields: Object.fromEntries(fields) }) : null,
    types: config.types.filter((type) => type.name !== 'Query' && !['_Any', '_Service', '_Entity'].includes(type.name)),
  });
  const text = printSchema(lexicographicSortSchema(own));
  const keyed = text.replace(/^type (\w+)(?= [{])/gm, (line, name: string) => {
    const key = keys.get(name);
    return key ? `${line} @key(fields: "${key}")` : line;
  });
  return `${HEADER}\n\n${keyed}\n`;
}
