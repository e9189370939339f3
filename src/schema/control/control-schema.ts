/** The static part of the schema, built once by type-graphql. */
import 'reflect-metadata';
import { type GraphQLSchema, specifiedScalarTypes } from 'graphql';
import { buildSchemaSync } from 'type-graphql';
import type { ReservedNames } from '../../definition/schema-names.js';
import { FeatureStatusEntry } from '../feature/service-schema.js';
import { BigIntScalar, DateTime, JsonScalar } from '../scalars.js';
import { CatalogResolver } from './catalog-resolver.js';
import { SourceFreshnessResolver, ViewFreshnessResolver } from './freshness-resolver.js';
import { JobResolver } from './job-resolver.js';
import { ManagementResolver } from './management-resolver.js';
import { SourceCheckResolver } from './source-check-resolver.js';
import { TrainingResolver } from './training-resolver.js';

/** Builds the part of the schema for the catalog and for management. */
export function buildControlSchema(): GraphQLSchema {
  return buildSchemaSync({
    resolvers: [
      CatalogResolver,
      SourceFreshnessResolver,
      ViewFreshnessResolver,
      SourceCheckResolver,
      ManagementResolver,
      JobResolver,
      TrainingResolver,
    ],
    validate: false,
  });
}

/** Returns the names that the control part, federation and GraphQL use, so that definitions cannot take them. */
export function reservedNames(control: GraphQLSchema): ReservedNames {
  const shared = [BigIntScalar, DateTime, JsonScalar, FeatureStatusEntry, ...specifiedScalarTypes];
  return {
    types: new Set([
      ...Object.keys(control.getTypeMap()),
      ...shared.map((type) => type.name),
      ...['FeatureStatus', 'Query', 'Mutation', 'Subscription', '_Any', '_Entity', '_Service'],
    ]),
    queries: new Set(['_entities', '_service', ...Object.keys(control.getQueryType()?.getFields() ?? {})]),
    subscriptions: new Set(Object.keys(control.getSubscriptionType()?.getFields() ?? {})),
  };
}
