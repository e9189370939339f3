/**
 * The GraphQL types and fields of a feature service. A client requests a flat vector of features by the join keys of
 * all its entities and by request data. It can also request vectors as columns, or subscribe to them.
 */
import {
  type GraphQLFieldConfig,
  type GraphQLFieldConfigArgumentMap,
  type GraphQLFieldConfigMap,
  GraphQLID,
  type GraphQLInputFieldConfigMap,
  GraphQLInputObjectType,
  type GraphQLInputType,
  GraphQLInt,
  GraphQLList,
  GraphQLNonNull,
  GraphQLObjectType,
  GraphQLString,
} from 'graphql';
import { type EntityKey, readKey } from '../../definition/entity-key.js';
import { camelCase } from '../../definition/graphql-name.js';
import { serviceColumnsType, serviceKeysType, serviceRequestType } from '../../definition/schema-names.js';
import type { ServiceType } from '../../definition/service-type.js';
import { type FeatureValue, readValue } from '../../definition/value-type.js';
import type { ViewVersion } from '../../definition/view-version.js';
import { FStoreError } from '../../errors.js';
import type { FeatureRow } from '../../retrieval/feature-row.js';
import type { StreamedUpdate } from '../../retrieval/update-feed.js';
import { createVectorPlan, type RequestData, type VectorColumn, type VectorPlan } from '../../retrieval/vector-plan.js';
import type { ExpressionWork } from '../../transformation/expression-budget.js';
import type { KeyAllowance } from '../key-allowance.js';
import { sourced, type VectorInputs } from '../lane/field-source.js';
import type { RequestContext } from '../request-context.js';
import { DateTime, graphqlTypeOf } from '../scalars.js';
import { FeatureStatusEnum } from './view-type.js';

/**
 * The parent value of the vector's fields: one row for each view, request data, and the keys as the client sent them.
 */
interface Vector {
  readonly keys: Readonly<Record<string, string>>;
  readonly rows: readonly FeatureRow[];
  readonly request: RequestData;
  readonly work: ExpressionWork;
}

interface JoinArgument {
  readonly argument: string;
  readonly description: string;
}

type Field = GraphQLFieldConfig<unknown, RequestContext>;
type Inputs = Readonly<Record<string, unknown>>;

/** The root fields of a service, with their types. */
export interface ServiceSchema {
  readonly one: Field;
  readonly many: Field;
  readonly columns: Field;
  readonly updated: Field;
}

/** Bytes that an entry of `statuses` takes at least, such as `{"f":"a"},`. */
const LEAST_STATUS = 10;

const id = new GraphQLNonNull(GraphQLID);
const listOf = (type: GraphQLObjectType) => new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(type)));

/** Status and event time of one feature in a vector. */
export const FeatureStatusEntry = new GraphQLObjectType({
  name: 'FeatureStatusEntry',
  description: 'Status and event time of one feature in a vector.',
  fields: {
    feature: {
      type: new GraphQLNonNull(GraphQLString),
      description: 'Field of the feature in the vector.',
      extensions: sourced({ kind: 'featureName' }),
    },
    status: { type: new GraphQLNonNull(FeatureStatusEnum), extensions: sourced({ kind: 'status' }) },
    eventTime: { type: DateTime, extensions: sourced({ kind: 'eventTime' }) },
  },
});

/** Builds types and fields of a service. `views` holds its pinned views by `name@version`. */
export function createServiceSchema(service: ServiceType, views: ReadonlyMap<string, ViewVersion>): ServiceSchema {
  const plan = createVectorPlan(service, views);
  const stamp = plan.views.map((view) => view.fingerprint).join(':');
  const joins = plan.joins.map(({ name }) => ({ argument: camelCase(name), description: `Join key \`${name}\`.` }));
  const requestInput = createRequestInput(plan);
  const arguments_: Record<string, { type: GraphQLInputType; description: string }> = Object.fromEntries(
    joins.map(({ argument, description }) => [argument, { type: id, description }]),
  );
  if (requestInput) {
    arguments_.request = {
      type: requestInput,
      description: 'Values that come with the request; what is absent is null.',
    };
  }
  const keysInput = new GraphQLInputObjectType({
    name: serviceKeysType(service.typeName),
    description: `The join keys of one vector of ${service.typeName}${requestInput ? ', and its request data' : ''}.`,
    fields: arguments_ as GraphQLInputFieldConfigMap,
  });
  const inputsOf = (inputs: Inputs, place: string, { work }: KeyAllowance): VectorInputs => ({
    ...readKeys(plan, inputs, place),
    request: readRequest(plan, inputs.request as Inputs | null | undefined, place),
    work,
  });
  const oneInputsOf = (args: Inputs, allowance: KeyAllowance): VectorInputs => {
    allowance.take(1, joins[0]?.argument ?? 'request');
    return inputsOf(args, '', allowance);
  };
  const listInputsOf = (args: Inputs, allowance: KeyAllowance): VectorInputs[] => {
    const list = args.keys as readonly Inputs[];
    allowance.take(list.length, 'keys');
    return list.map((inputs, index) => inputsOf(inputs, `keys.${index}.`, allowance));
  };
  const vector = async ({ keys, byView, request, work }: VectorInputs, context: RequestContext): Promise<Vector> => {
    const rows = await Promise.all(plan.views.map((view, index) => context.load(view, byView[index]!)));
    return { keys, rows, request, work };
  };
  const vectors = (args: Inputs, context: RequestContext): Promise<Vector[]> =>
    Promise.all(listInputsOf(args, context.allowance).map((inputs) => vector(inputs, context)));
  const listArgs: GraphQLFieldConfigArgumentMap = {
    keys: {
      type: new GraphQLNonNull(new GraphQLList(new GraphQLNonNull(keysInput))),
      description: 'One entry for each vector.',
    },
  };
  const description = service.description ?? `Features of the service \`${service.name}\`.`;
  const vectorType = createVectorType(plan, joins);
  const extensions = { fstore: stamp };
  return {
    one: {
      type: new GraphQLNonNull(vectorType),
      description,
      args: arguments_ as GraphQLFieldConfigArgumentMap,
      extensions: {
        ...extensions,
        ...sourced({
          kind: 'vectors',
          isList: false,
          plan,
          inputsOf: (args, allowance) => [oneInputsOf(args, allowance)],
        }),
      },
      resolve: async (_, args, context) => vector(oneInputsOf(args, context.allowance), context),
    },
    many: {
      type: listOf(vectorType),
      description: `${description} Many vectors, in the order of their keys.`,
      args: listArgs,
      extensions: { ...extensions, ...sourced({ kind: 'vectors', isList: true, plan, inputsOf: listInputsOf }) },
      resolve: (_, args, context) => vectors(args, context),
    },
    columns: {
      type: new GraphQLNonNull(createColumnsType(plan, joins)),
      description: `${description} Many vectors by columns: each field is a list in the order of the keys.`,
      args: listArgs,
      extensions,
      resolve: (_, args, context) => vectors(args, context),
    },
    updated: {
      type: new GraphQLNonNull(vectorType),
      description: `The vector of one of the given keys each time one of its features has a new value.`,
      args: listArgs,
      extensions,
      subscribe: (_, args, context) => {
        const list = args.keys as readonly Inputs[];
        context.allowance.take(list.length, 'keys');
        const interests = list.flatMap((inputs, index) => {
          const { byView } = readKeys(plan, inputs, `keys.${index}.`);
          return plan.views.map((view, at) => ({ view: view.id, key: byView[at]!.text, tag: `${index}` }));
        });
        return context.services.updates.open(interests);
      },
      resolve: (source, args, context) => {
        const { update, tag } = source as StreamedUpdate;
        const view = plan.views.find((one) => one.id === update.view);
        if (!view)
          throw new FStoreError('INTERNAL', `an update of ${update.view} reached a service that does not read it`);
        context.startEvent(view, update.key, update.value);
        const list = args.keys as readonly Inputs[];
        return vector(inputsOf(list[Number(tag)] ?? {}, '', context.allowance), context);
      },
    },
  };
}

function createRequestInput({ service, request }: VectorPlan): GraphQLInputObjectType | null {
  if (request.length === 0) return null;
  return new GraphQLInputObjectType({
    name: serviceRequestType(service.typeName),
    description: `Values that come with a request of ${service.typeName}.`,
    fields: Object.fromEntries(
      request.map(({ name, type }) => [camelCase(name), { type: graphqlTypeOf(type) as GraphQLInputType }]),
    ),
  });
}

function readKeys(
  { joins, views, service }: VectorPlan,
  inputs: Inputs,
  place: string,
): { keys: Record<string, string>; byView: EntityKey[] } {
  const keys: Record<string, string> = {};
  for (const { name, type } of joins) {
    const argument = camelCase(name);
    const read = readKey([type], [inputs[argument]]);
    const field = `${place}${argument}`;
    if (!read.ok) {
      throw new FStoreError('KEY_INVALID', `${field} is no join key of ${service.name}: ${read.reason}`, { field });
    }
    keys[argument] = read.key.parts[0]!;
  }
  const byView = views.map((view) => {
    const read = readKey(
      view.keys.map((key) => key.type),
      view.keys.map((key) => keys[camelCase(key.name)]),
    );
    if (!read.ok) throw new FStoreError('INTERNAL', `a canonical key of ${view.id} cannot be read`);
    return read.key;
  });
  return { keys, byView };
}

/** Reads request data by their declared types. Throws BAD_REQUEST, naming the field. */
function readRequest({ request }: VectorPlan, inputs: Inputs | null | undefined, place: string): RequestData {
  const data: Record<string, FeatureValue> = {};
  for (const { name, type } of request) {
    const field = `${place}request.${camelCase(name)}`;
    const read = readValue(type, inputs?.[camelCase(name)]);
    if (!read.ok) throw new FStoreError('BAD_REQUEST', `${field} is ${type}: ${read.reason}`, { field });
    data[name] = read.value;
  }
  return data;
}

const statusesOf = (columns: readonly VectorColumn[], { rows, request, work }: Vector) =>
  columns.map((column) => ({ feature: column.field, ...column.status(rows, request, work) }));

function createVectorType({ service, views, columns }: VectorPlan, joins: readonly JoinArgument[]) {
  const reads = views.map((view) => `\`${view.id}\``).join(', ');
  return new GraphQLObjectType<Vector, RequestContext>({
    name: service.typeName,
    description: `${service.description ?? `Features of the service \`${service.name}\`.`}\nReads ${reads}.`,
    fields: () => {
      const fields: GraphQLFieldConfigMap<Vector, RequestContext> = {};
      for (const { argument } of joins) {
        const description = 'Join key, as it was asked for.';
        fields[argument] = {
          type: id,
          description,
          extensions: sourced({ kind: 'joinKey', argument }),
          resolve: (vector, _, { response }, { path }) => response.show(path.key, vector.keys[argument]),
        };
      }
      for (const column of columns) {
        const { field, type, description, origin, stamp, value, pinned } = column;
        fields[field] = {
          type: graphqlTypeOf(type),
          description: description ?? `\`${origin}\``,
          resolve: ({ rows, request, work }, _, context, { path }) =>
            pinned
              ? context.response.show(path.key, value(rows, request))
              : context.compute(work, () => context.response.show(path.key, value(rows, request, work))),
          extensions: { fstore: stamp, ...sourced({ kind: 'column', column }) },
        };
      }
      fields.statuses = {
        type: listOf(FeatureStatusEntry),
        description: 'Why each feature has the value that it has.',
        extensions: sourced({ kind: 'statuses' }),
        resolve: (vector, _, context) => {
          context.response.count(LEAST_STATUS * columns.length);
          return context.compute(vector.work, () => statusesOf(columns, vector));
        },
      };
      fields.serviceVersion = {
        type: new GraphQLNonNull(GraphQLInt),
        description: 'Version of the service.',
        extensions: sourced({ kind: 'constant', value: service.version }),
        resolve: () => service.version,
      };
      return fields;
    },
  });
}

/**
 * Returns the type of many vectors by columns: each feature is a list, as a model's matrix needs it, and no name is
 * repeated for each number.
 */
function createColumnsType({ service, columns }: VectorPlan, joins: readonly JoinArgument[]) {
  return new GraphQLObjectType<readonly Vector[], RequestContext>({
    name: serviceColumnsType(service.typeName),
    description: `Vectors of ${service.typeName} by columns, all in the order of the keys.`,
    fields: () => {
      const fields: GraphQLFieldConfigMap<readonly Vector[], RequestContext> = {};
      for (const { argument } of joins) {
        fields[argument] = {
          type: new GraphQLNonNull(new GraphQLList(id)),
          resolve: (vectors, _, { response }, { path }) =>
            response.show(
              path.key,
              vectors.map((vector) => vector.keys[argument]),
            ),
        };
      }
      for (const { field, type, description, origin, stamp, value, pinned } of columns) {
        fields[field] = {
          type: new GraphQLNonNull(new GraphQLList(graphqlTypeOf(type))),
          description: description ?? `\`${origin}\``,
          resolve: (vectors, _, context, { path }) => {
            const { response } = context;
            const values = vectors.map(({ rows, request, work }) =>
              pinned ? value(rows, request) : context.compute(work, () => value(rows, request, work)),
            );
            if (!values.some((one) => one instanceof Promise)) return response.show(path.key, values);
            return Promise.all(values).then((all) => response.show(path.key, all));
          },
          extensions: { fstore: stamp },
        };
      }
      fields.statuses = {
        type: new GraphQLNonNull(new GraphQLList(listOf(FeatureStatusEntry))),
        description: 'For each vector, why each feature has the value that it has.',
        resolve: (vectors, _, context) => {
          context.response.count(LEAST_STATUS * columns.length * vectors.length);
          return vectors.map((vector) => context.compute(vector.work, () => statusesOf(columns, vector)));
        },
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
