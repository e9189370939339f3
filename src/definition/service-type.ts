import type { FeatureService } from './definition.js';
import type { DefinitionRecord, RequestColumn, ServiceMeaning } from './definition-record.js';
import { camelCase, pascalCase } from './graphql-name.js';

/** The names of a feature service in the GraphQL schema, and what it serves. */
export interface ServiceType {
  readonly name: string;
  readonly version: number;
  readonly typeName: string;
  readonly queryField: string;
  readonly features: ServiceMeaning['features'];
  /** The values that a request must contain. */
  readonly request: readonly RequestColumn[];
  readonly description: string | undefined;
  readonly owner: string | undefined;
}

/** Resolves the GraphQL names of a service: `fraud_detection` → type FraudDetection, field `fraudDetection`. */
export function resolveService(record: DefinitionRecord<FeatureService, ServiceMeaning>): ServiceType {
  const { definition, meaning } = record;
  return {
    name: record.name,
    version: record.version,
    typeName: definition.graphql?.type ?? pascalCase(record.name),
    queryField: definition.graphql?.field ?? camelCase(record.name),
    features: meaning.features,
    request: meaning.request ?? [],
    description: definition.description,
    owner: definition.owner,
  };
}
