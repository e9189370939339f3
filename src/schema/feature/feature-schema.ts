/**
 * Builds the served schema from a snapshot of the registry: generated types, merged with the static control part.
 *
 * Invariants
 * 1. The same snapshot gives the same schema, byte for byte as SDL.
 * 2. Types of unchanged views are shared with the previous schema. No other types are retained.
 */
import { GraphQLObjectType, GraphQLSchema, isNamedType } from 'graphql';
import { resolveEntity } from '../../definition/entity-type.js';
import { updatedField } from '../../definition/schema-names.js';
import { resolveService } from '../../definition/service-type.js';
import type { ViewVersion } from '../../definition/view-version.js';
import type { Snapshot } from '../../registry/snapshot.js';
import { entitiesField, printSubgraphSdl, serviceField } from '../federation.js';
import type { RequestContext } from '../request-context.js';
import { type EntitySchema, manyEntitiesField, oneEntityField, viewUpdatedField } from './entity-fields.js';
import { createEntityObject, createKeyInput } from './entity-object.js';
import { createServiceSchema } from './service-schema.js';
import { createViewType } from './view-type.js';

/** A schema, with the view types that the next schema may share. */
export interface BuiltSchema {
  readonly schema: GraphQLSchema;
  /** Returns the SDL of the subgraph, which is printed at the first call. */
  readonly sdl: () => string;
  readonly viewTypes: ReadonlyMap<ViewVersion, GraphQLObjectType>;
}

type Fields = ReturnType<GraphQLObjectType<unknown, RequestContext>['toConfig']>['fields'];

function fieldsOf(type: GraphQLObjectType | null | undefined): Fields {
  return type ? (type.toConfig().fields as Fields) : {};
}

/** Builds the schema of a snapshot, including the static part `control`, and shares types with `previous`. */
export function buildFeatureSchema(snapshot: Snapshot, control: GraphQLSchema, previous?: BuiltSchema): BuiltSchema {
  const viewTypes = new Map<ViewVersion, GraphQLObjectType>();
  for (const view of snapshot.views.values()) {
    viewTypes.set(view, previous?.viewTypes.get(view) ?? createViewType(view));
  }
  const query: Fields = { ...fieldsOf(control.getQueryType()) };
  const subscription: Fields = { ...fieldsOf(control.getSubscriptionType()) };
  const entities: EntitySchema[] = [];
  for (const record of snapshot.entities.values()) {
    const entity = resolveEntity(record);
    const views = (snapshot.viewsOfEntity.get(entity.name) ?? []).filter((view) => snapshot.views.has(view.id));
    const type = createEntityObject(
      entity,
      views.map((view) => ({ view, type: viewTypes.get(view)! })),
    );
    const schema: EntitySchema = { entity, type, keyInput: createKeyInput(entity) };
    entities.push(schema);
    query[entity.queryField] = oneEntityField(schema);
    query[entity.listField] = manyEntitiesField(schema);
    for (const view of views) subscription[updatedField(view.typeName)] = viewUpdatedField(view, schema);
  }
  for (const record of snapshot.services.values()) {
    const service = resolveService(record);
    const schema = createServiceSchema(service, snapshot.views);
    query[service.queryField] = schema.one;
    query[`${service.queryField}List`] = schema.many;
    query[`${service.queryField}Columns`] = schema.columns;
    subscription[updatedField(service.typeName)] = schema.updated;
  }
  let sdl: string | null = null;
  const printed = (): string => {
    sdl ??= printSubgraphSdl(schema);
    return sdl;
  };
  query._service = serviceField(printed);
  if (entities.length > 0) query._entities = entitiesField(entities);
  const schema = new GraphQLSchema({
    query: new GraphQLObjectType<unknown, RequestContext>({ name: 'Query', fields: query }),
    mutation: control.getMutationType() ?? null,
    subscription:
      Object.keys(subscription).length > 0
        ? new GraphQLObjectType<unknown, RequestContext>({ name: 'Subscription', fields: subscription })
        : null,
    types: Object.values(control.getTypeMap()).filter(
      (type) =>
        isNamedType(type) && !type.name.startsWith('__') && !['Query', 'Mutation', 'Subscription'].includes(type.name),
    ),
  });
  return { schema, sdl: printed, viewTypes };
}
