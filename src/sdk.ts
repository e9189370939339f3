/** The package `fstore` for TypeScript projects: builders of definitions, and a client of the API. */
import { type ClientOptions, GraphqlClient } from './cli/graphql-client.js';

export { ServerError } from './cli/failure.js';
export type { ClientOptions, GraphqlClient, Operation, SubscribeOptions } from './cli/graphql-client.js';
export type {
  Consumer,
  Definition,
  DefinitionKind,
  Entity,
  FeatureService,
  FeatureView,
  OnDemandFeatureView,
  Source,
  Transformer,
} from './definition/definition.js';
export {
  defineConsumer,
  defineEntity,
  defineFeatureService,
  defineFeatureView,
  defineOnDemandFeatureView,
  defineSource,
  defineTransformer,
} from './definition/definition-builder.js';
export type { KeyType, ValueType } from './definition/value-type.js';
export { type ErrorCode, FStoreError } from './errors.js';

/** Returns a client of a server's GraphQL API: `request` runs queries and mutations, `subscribe` subscriptions. */
export function createClient(options: ClientOptions): GraphqlClient {
  return new GraphqlClient(options);
}
