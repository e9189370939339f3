import { Arg, Ctx, Int, Query, Resolver } from 'type-graphql';
import type { Source } from '../../definition/definition.js';
import type { DefinitionRecord, ServiceFeature, SourceMeaning } from '../../definition/definition-record.js';
import { resolveEntity } from '../../definition/entity-type.js';
import { resolveService } from '../../definition/service-type.js';
import type { ViewVersion } from '../../definition/view-version.js';
import { FStoreError } from '../../errors.js';
import { RequestContext } from '../request-context.js';
import {
  AuditEntry,
  ConsumerDefinition,
  DeadLetterEntry,
  EntityDefinition,
  FeatureServiceDefinition,
  FeatureViewDefinition,
  Project,
  SourceDefinition,
} from './catalog-types.js';

const MAX_PAGE = 1_000;

function checkFirst(first: number): number {
  if (first < 1 || first > MAX_PAGE) {
    throw new FStoreError('BAD_REQUEST', `first is ${first}; it lies between 1 and ${MAX_PAGE}`, { field: 'first' });
  }
  return first;
}

/** Returns a source as the catalog shows it. */
export function describeSource(record: DefinitionRecord<Source, SourceMeaning>): SourceDefinition {
  return {
    name: record.name,
    version: record.version,
    columns: Object.entries(record.meaning.schema).map(([name, type]) => ({ name, type })),
    timestamp: record.meaning.timestamp,
    topic: record.meaning.topic,
    description: record.definition.description ?? null,
    owner: record.definition.owner ?? null,
  };
}

function describe(view: ViewVersion): FeatureViewDefinition {
  return {
    name: view.name,
    version: view.version,
    current: view.current,
    entity: view.entity,
    source: view.source,
    features: view.features.map((feature) => ({
      name: feature.name,
      type: feature.type,
      column: feature.column,
      computation: feature.computation,
      graphqlField: feature.graphqlName,
      description: feature.description ?? null,
    })),
    ttlSeconds: view.ttl === null ? null : Math.round(view.ttl / 1000),
    graphqlField: view.fieldName,
    graphqlType: view.typeName,
    description: view.description ?? null,
    owner: view.owner ?? null,
    tags: view.tags,
  };
}

function originOf(feature: ServiceFeature): string {
  if ('view' in feature) return `${feature.view}@${feature.version}:${feature.feature}`;
  return 'computed' in feature ? `${feature.onDemand}:${feature.computed.name}` : feature.transformer;
}

/** Resolves the catalog: definitions, dead letters and the audit record. */
@Resolver()
export class CatalogResolver {
  @Query(() => Project, { description: 'The project of this server, and the revision that it serves.' })
  project(@Ctx() context: RequestContext): Project {
    const { project, revision } = context.services.snapshot();
    return { name: project, revision };
  }

  @Query(() => [EntityDefinition], { description: 'All entities.' })
  entities(@Ctx() context: RequestContext): EntityDefinition[] {
    return [...context.services.snapshot().entities.values()].map((record) => ({
      name: record.name,
      version: record.version,
      joinKeys: record.meaning.joinKeys.map(({ name, type }) => ({ name, type })),
      graphqlType: resolveEntity(record).typeName,
      description: record.definition.description ?? null,
      owner: record.definition.owner ?? null,
    }));
  }

  @Query(() => [SourceDefinition], { description: 'All sources.' })
  sources(@Ctx() context: RequestContext): SourceDefinition[] {
    return [...context.services.snapshot().sources.values()].map(describeSource);
  }

  @Query(() => [FeatureViewDefinition], { description: 'All active versions of all feature views.' })
  featureViews(@Ctx() context: RequestContext): FeatureViewDefinition[] {
    return [...context.services.snapshot().views.values()].map(describe);
  }

  @Query(() => FeatureViewDefinition, { description: 'One feature view; its current version unless another is named.' })
  featureView(
    @Ctx() context: RequestContext,
    @Arg('name', () => String) name: string,
    @Arg('version', () => Int, { nullable: true }) version?: number | null,
  ): FeatureViewDefinition {
    const { views, currentViews } = context.services.snapshot();
    const view = version ? views.get(`${name}@${version}`) : currentViews.get(name);
    if (!view) throw new FStoreError('VIEW_UNKNOWN', `there is no view ${name.slice(0, 80)}`, { field: 'name' });
    return describe(view);
  }

  @Query(() => [FeatureServiceDefinition], { description: 'All feature services.' })
  featureServices(@Ctx() context: RequestContext): FeatureServiceDefinition[] {
    return [...context.services.snapshot().services.values()].map((record) => ({
      name: record.name,
      version: record.version,
      features: record.meaning.features.map(originOf),
      graphqlField: resolveService(record).queryField,
      description: record.definition.description ?? null,
      owner: record.definition.owner ?? null,
    }));
  }

  // The plural `consumers` would collide with the list field of an entity named consumer.
  @Query(() => [ConsumerDefinition], { description: 'All consumers, with the operations that they have registered.' })
  featureConsumers(@Ctx() context: RequestContext): ConsumerDefinition[] {
    const { snapshot, operations } = context.services;
    return [...snapshot().consumers.values()].map((record) => ({
      name: record.name,
      version: record.version,
      operations: record.meaning.operations.map((document) => {
        const { id, read, fault } = operations().withText(document)!;
        return { id, name: read?.name ?? null, document, fault };
      }),
      description: record.definition.description ?? null,
      owner: record.definition.owner ?? null,
    }));
  }

  @Query(() => [DeadLetterEntry], { description: 'Events that could not be used, newest first.' })
  async deadLetters(
    @Ctx() context: RequestContext,
    @Arg('source', () => String, { nullable: true }) source?: string | null,
    @Arg('first', () => Int, { defaultValue: 100 }) first = 100,
  ): Promise<DeadLetterEntry[]> {
    const letters = await context.services.offline.deadLetters(source ?? null, checkFirst(first));
    return letters.map(({ id, code, message, field, arrivedAt, replayedAt, ...letter }) => ({
      id,
      source: letter.source,
      origin: `${letter.topic}/${letter.partition}/${letter.offset}`,
      code,
      message,
      field,
      payload: letter.payload.toString('utf8'),
      arrivedAt,
      replayedAt,
    }));
  }

  @Query(() => [AuditEntry], { description: 'Changes of the registry, newest first.' })
  async audit(
    @Ctx() context: RequestContext,
    @Arg('first', () => Int, { defaultValue: 100 }) first = 100,
  ): Promise<AuditEntry[]> {
    return [...(await context.services.registry.audit(checkFirst(first)))];
  }
}
