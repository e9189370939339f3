/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
/** What an apply does to one definition. */
export type ChangeAction =
  /** It is new. */
  | 'CREATE'
  /** Its meaning changed. */
  | 'NEW_VERSION'
  /** It is no longer served nor computed. */
  | 'RETIRE'
  /** Only its text changed: description, owner, tags, TTL or names. */
  | 'UPDATE';

/** What a schema change may do to clients. */
export type Criticality =
  | 'BREAKING'
  | 'DANGEROUS'
  | 'SAFE';

/** Definitions and what to do with them. */
export type DefinitionsInput = {
  /** Definitions as in a definition file. */
  definitions: Array<unknown>;
  /** Retire everything that is not among the definitions. */
  prune?: boolean;
  /** Older view versions to retire, such as user_stats@1. */
  retire?: Array<string>;
};

/** How far a job is. */
export type JobStatus =
  | 'CANCELLED'
  | 'FAILED'
  | 'QUEUED'
  | 'RUNNING'
  | 'SUCCEEDED';

/** What is looked at: one of these, but for `sample`. */
export type SourceCheckInput = {
  /** Definitions that are not applied: their sources. */
  definitions?: Array<unknown> | null | undefined;
  /** A path within the folder of batch files. */
  file?: string | null | undefined;
  /** A SELECT on the offline store’s PostgreSQL. */
  query?: string | null | undefined;
  /** Records to look at. */
  sample?: number;
  /** A source that is declared. */
  source?: string | null | undefined;
  /** A table of the offline store’s PostgreSQL. */
  table?: string | null | undefined;
  /** A topic of the event bus. */
  topic?: string | null | undefined;
};

/** An enum describing what kind of type a given `__Type` is. */
export type __TypeKind =
  /** Indicates this type is a scalar. */
  | 'SCALAR'
  /** Indicates this type is an object. `fields` and `interfaces` are valid fields. */
  | 'OBJECT'
  /** Indicates this type is an interface. `fields`, `interfaces`, and `possibleTypes` are valid fields. */
  | 'INTERFACE'
  /** Indicates this type is a union. `possibleTypes` is a valid field. */
  | 'UNION'
  /** Indicates this type is an enum. `enumValues` is a valid field. */
  | 'ENUM'
  /** Indicates this type is an input object. `inputFields` is a valid field. */
  | 'INPUT_OBJECT'
  /** Indicates this type is a list. `ofType` is a valid field. */
  | 'LIST'
  /** Indicates this type is a non-null. `ofType` is a valid field. */
  | 'NON_NULL';

export type CatalogQueryVariables = Exact<{ [key: string]: never; }>;


export type CatalogQuery = { project: { name: string, revision: number }, entities: Array<{ name: string, version: number, graphqlType: string, description: string | null, owner: string | null, joinKeys: Array<{ name: string, type: string }> }>, sources: Array<{ name: string, version: number, timestamp: string, topic: string | null, description: string | null, owner: string | null, columns: Array<{ name: string, type: string }> }>, featureViews: Array<{ name: string, version: number, current: boolean, entity: string, source: string, ttlSeconds: number | null, graphqlField: string, graphqlType: string, description: string | null, owner: string | null, features: Array<{ name: string, type: string, graphqlField: string }> }>, featureServices: Array<{ name: string, version: number, features: Array<string>, graphqlField: string, description: string | null, owner: string | null }> };

export type ConsumersQueryVariables = Exact<{ [key: string]: never; }>;


export type ConsumersQuery = { featureConsumers: Array<{ name: string, version: number, description: string | null, owner: string | null, operations: Array<{ id: string, name: string | null, document: string, fault: string | null }> }> };

export type DeadLettersQueryVariables = Exact<{
  source?: string | null | undefined;
  first: number;
}>;


export type DeadLettersQuery = { deadLetters: Array<{ id: string, source: string, origin: string, code: string, message: string, field: string | null, payload: string, arrivedAt: string, replayedAt: string | null }> };

export type AuditQueryVariables = Exact<{
  first: number;
}>;


export type AuditQuery = { audit: Array<{ revision: number, actor: string, summary: Array<string>, appliedAt: string }> };

export type PlanReportFragment = { revision: number, changes: Array<{ action: ChangeAction, kind: string, name: string, version: number }>, schemaChanges: Array<{ criticality: Criticality, message: string, path: string | null }> };

export type PlanDefinitionsQueryVariables = Exact<{
  input: DefinitionsInput;
}>;


export type PlanDefinitionsQuery = { planDefinitions: { revision: number, changes: Array<{ action: ChangeAction, kind: string, name: string, version: number }>, schemaChanges: Array<{ criticality: Criticality, message: string, path: string | null }> } };

export type ApplyDefinitionsMutationVariables = Exact<{
  input: DefinitionsInput;
  allowBreaking: boolean;
}>;


export type ApplyDefinitionsMutation = { applyDefinitions: { revision: number, changes: Array<{ action: ChangeAction, kind: string, name: string, version: number }>, schemaChanges: Array<{ criticality: Criticality, message: string, path: string | null }> } };

export type IngestMutationVariables = Exact<{
  source: string;
  events: Array<unknown> | unknown;
}>;


export type IngestMutation = { ingest: { accepted: number } };

export type ReplayDeadLettersMutationVariables = Exact<{
  ids: Array<string | number> | string | number;
}>;


export type ReplayDeadLettersMutation = { replayDeadLetters: { replayed: number } };

export type PublishTransformersMutationVariables = Exact<{
  trainingSet: string | number;
}>;


export type PublishTransformersMutation = { publishTransformers: { revision: number, changes: Array<{ action: ChangeAction, kind: string, name: string, version: number }>, schemaChanges: Array<{ criticality: Criticality, message: string, path: string | null }> } };

export type JobReportFragment = { id: string, kind: string, status: JobStatus, request: unknown, result: unknown, log: Array<string>, attempts: number, createdAt: string, startedAt: string | null, finishedAt: string | null, progress: { done: number, total: number | null, note: string | null }, error: { code: string, message: string } | null };

export type FindJobQueryVariables = Exact<{
  id: string | number;
}>;


export type FindJobQuery = { job: { id: string, kind: string, status: JobStatus, request: unknown, result: unknown, log: Array<string>, attempts: number, createdAt: string, startedAt: string | null, finishedAt: string | null, progress: { done: number, total: number | null, note: string | null }, error: { code: string, message: string } | null } | null };

export type ListJobsQueryVariables = Exact<{
  kind?: string | null | undefined;
  first: number;
}>;


export type ListJobsQuery = { jobs: Array<{ id: string, kind: string, status: JobStatus, request: unknown, result: unknown, log: Array<string>, attempts: number, createdAt: string, startedAt: string | null, finishedAt: string | null, progress: { done: number, total: number | null, note: string | null }, error: { code: string, message: string } | null }> };

export type MaterializeMutationVariables = Exact<{
  source: string;
}>;


export type MaterializeMutation = { materialize: { id: string, kind: string, status: JobStatus, request: unknown, result: unknown, log: Array<string>, attempts: number, createdAt: string, startedAt: string | null, finishedAt: string | null, progress: { done: number, total: number | null, note: string | null }, error: { code: string, message: string } | null } };

export type CancelJobMutationVariables = Exact<{
  id: string | number;
}>;


export type CancelJobMutation = { cancelJob: { id: string, kind: string, status: JobStatus, request: unknown, result: unknown, log: Array<string>, attempts: number, createdAt: string, startedAt: string | null, finishedAt: string | null, progress: { done: number, total: number | null, note: string | null }, error: { code: string, message: string } | null } };

export type TypeReferenceFragment = { kind: __TypeKind, name: string | null, ofType: { kind: __TypeKind, name: string | null, ofType: { kind: __TypeKind, name: string | null, ofType: { kind: __TypeKind, name: string | null } | null } | null } | null };

export type ServedFieldsQueryVariables = Exact<{
  type: string;
}>;


export type ServedFieldsQuery = { __type: { fields: Array<{ name: string, args: Array<{ name: string, type: { kind: __TypeKind, name: string | null, ofType: { kind: __TypeKind, name: string | null, ofType: { kind: __TypeKind, name: string | null, ofType: { kind: __TypeKind, name: string | null } | null } | null } | null } }>, type: { kind: __TypeKind, name: string | null, ofType: { kind: __TypeKind, name: string | null, ofType: { kind: __TypeKind, name: string | null, ofType: { kind: __TypeKind, name: string | null } | null } | null } | null } }> | null } | null };

export type FreshnessFragment = { lag: number | null, newestEventTime: string | null, takenInAt: string | null, rowsPerMinute: number, events: number, deadLetters: number };

export type SourcesQueryVariables = Exact<{ [key: string]: never; }>;


export type SourcesQuery = { sources: Array<{ name: string, topic: string | null, freshness: { lag: number | null, newestEventTime: string | null, takenInAt: string | null, rowsPerMinute: number, events: number, deadLetters: number } | null }>, featureViews: Array<{ name: string, version: number, source: string, freshness: { engine: string, lag: number | null, newestEventTime: string | null, takenInAt: string | null, rowsPerMinute: number } | null }> };

export type CheckSourceMutationVariables = Exact<{
  input: SourceCheckInput;
}>;


export type CheckSourceMutation = { checkSource: Array<{ source: string, declared: boolean, origin: string, sampled: number, unusable: number | null, draft: string | null, columns: Array<{ name: string, type: string, declaredType: string | null, nulls: number, role: string | null }>, findings: Array<{ severity: string, code: string, column: string | null, count: number | null, message: string, cure: string }> }> };

export class TypedDocumentString<TResult, TVariables>
  extends String
  implements DocumentTypeDecoration<TResult, TVariables>
{
  __apiType?: NonNullable<DocumentTypeDecoration<TResult, TVariables>['__apiType']>;
  private value: string;
  public __meta__?: Record<string, any> | undefined;

  constructor(value: string, __meta__?: Record<string, any> | undefined) {
    super(value);
    this.value = value;
    this.__meta__ = __meta__;
  }

  override toString(): string & DocumentTypeDecoration<TResult, TVariables> {
    return this.value;
  }
}
export const PlanReportFragmentDoc = new TypedDocumentString(`
    fragment PlanReport on DefinitionPlanReport {
  revision
  changes {
    action
    kind
    name
    version
  }
  schemaChanges {
    criticality
    message
    path
  }
}
    `, {"fragmentName":"PlanReport"}) as unknown as TypedDocumentString<PlanReportFragment, unknown>;
export const JobReportFragmentDoc = new TypedDocumentString(`
    fragment JobReport on Job {
  id
  kind
  status
  progress {
    done
    total
    note
  }
  request
  result
  error {
    code
    message
  }
  log
  attempts
  createdAt
  startedAt
  finishedAt
}
    `, {"fragmentName":"JobReport"}) as unknown as TypedDocumentString<JobReportFragment, unknown>;
export const TypeReferenceFragmentDoc = new TypedDocumentString(`
    fragment TypeReference on __Type {
  kind
  name
  ofType {
    kind
    name
    ofType {
      kind
      name
      ofType {
        kind
        name
      }
    }
  }
}
    `, {"fragmentName":"TypeReference"}) as unknown as TypedDocumentString<TypeReferenceFragment, unknown>;
export const FreshnessFragmentDoc = new TypedDocumentString(`
    fragment Freshness on SourceFreshness {
  lag
  newestEventTime
  takenInAt
  rowsPerMinute
  events
  deadLetters
}
    `, {"fragmentName":"Freshness"}) as unknown as TypedDocumentString<FreshnessFragment, unknown>;
export const CatalogDocument = new TypedDocumentString(`
    query Catalog {
  project {
    name
    revision
  }
  entities {
    name
    version
    joinKeys {
      name
      type
    }
    graphqlType
    description
    owner
  }
  sources {
    name
    version
    columns {
      name
      type
    }
    timestamp
    topic
    description
    owner
  }
  featureViews {
    name
    version
    current
    entity
    source
    features {
      name
      type
      graphqlField
    }
    ttlSeconds
    graphqlField
    graphqlType
    description
    owner
  }
  featureServices {
    name
    version
    features
    graphqlField
    description
    owner
  }
}
    `) as unknown as TypedDocumentString<CatalogQuery, CatalogQueryVariables>;
export const ConsumersDocument = new TypedDocumentString(`
    query Consumers {
  featureConsumers {
    name
    version
    operations {
      id
      name
      document
      fault
    }
    description
    owner
  }
}
    `) as unknown as TypedDocumentString<ConsumersQuery, ConsumersQueryVariables>;
export const DeadLettersDocument = new TypedDocumentString(`
    query DeadLetters($source: String, $first: Int!) {
  deadLetters(source: $source, first: $first) {
    id
    source
    origin
    code
    message
    field
    payload
    arrivedAt
    replayedAt
  }
}
    `) as unknown as TypedDocumentString<DeadLettersQuery, DeadLettersQueryVariables>;
export const AuditDocument = new TypedDocumentString(`
    query Audit($first: Int!) {
  audit(first: $first) {
    revision
    actor
    summary
    appliedAt
  }
}
    `) as unknown as TypedDocumentString<AuditQuery, AuditQueryVariables>;
export const PlanDefinitionsDocument = new TypedDocumentString(`
    query PlanDefinitions($input: DefinitionsInput!) {
  planDefinitions(input: $input) {
    ...PlanReport
  }
}
    fragment PlanReport on DefinitionPlanReport {
  revision
  changes {
    action
    kind
    name
    version
  }
  schemaChanges {
    criticality
    message
    path
  }
}`) as unknown as TypedDocumentString<PlanDefinitionsQuery, PlanDefinitionsQueryVariables>;
export const ApplyDefinitionsDocument = new TypedDocumentString(`
    mutation ApplyDefinitions($input: DefinitionsInput!, $allowBreaking: Boolean!) {
  applyDefinitions(input: $input, allowBreaking: $allowBreaking) {
    ...PlanReport
  }
}
    fragment PlanReport on DefinitionPlanReport {
  revision
  changes {
    action
    kind
    name
    version
  }
  schemaChanges {
    criticality
    message
    path
  }
}`) as unknown as TypedDocumentString<ApplyDefinitionsMutation, ApplyDefinitionsMutationVariables>;
export const IngestDocument = new TypedDocumentString(`
    mutation Ingest($source: String!, $events: [JSON!]!) {
  ingest(source: $source, events: $events) {
    accepted
  }
}
    `) as unknown as TypedDocumentString<IngestMutation, IngestMutationVariables>;
export const ReplayDeadLettersDocument = new TypedDocumentString(`
    mutation ReplayDeadLetters($ids: [ID!]!) {
  replayDeadLetters(ids: $ids) {
    replayed
  }
}
    `) as unknown as TypedDocumentString<ReplayDeadLettersMutation, ReplayDeadLettersMutationVariables>;
export const PublishTransformersDocument = new TypedDocumentString(`
    mutation PublishTransformers($trainingSet: ID!) {
  publishTransformers(trainingSet: $trainingSet) {
    ...PlanReport
  }
}
    fragment PlanReport on DefinitionPlanReport {
  revision
  changes {
    action
    kind
    name
    version
  }
  schemaChanges {
    criticality
    message
    path
  }
}`) as unknown as TypedDocumentString<PublishTransformersMutation, PublishTransformersMutationVariables>;
export const FindJobDocument = new TypedDocumentString(`
    query FindJob($id: ID!) {
  job(id: $id) {
    ...JobReport
  }
}
    fragment JobReport on Job {
  id
  kind
  status
  progress {
    done
    total
    note
  }
  request
  result
  error {
    code
    message
  }
  log
  attempts
  createdAt
  startedAt
  finishedAt
}`) as unknown as TypedDocumentString<FindJobQuery, FindJobQueryVariables>;
export const ListJobsDocument = new TypedDocumentString(`
    query ListJobs($kind: String, $first: Int!) {
  jobs(kind: $kind, first: $first) {
    ...JobReport
  }
}
    fragment JobReport on Job {
  id
  kind
  status
  progress {
    done
    total
    note
  }
  request
  result
  error {
    code
    message
  }
  log
  attempts
  createdAt
  startedAt
  finishedAt
}`) as unknown as TypedDocumentString<ListJobsQuery, ListJobsQueryVariables>;
export const MaterializeDocument = new TypedDocumentString(`
    mutation Materialize($source: String!) {
  materialize(source: $source) {
    ...JobReport
  }
}
    fragment JobReport on Job {
  id
  kind
  status
  progress {
    done
    total
    note
  }
  request
  result
  error {
    code
    message
  }
  log
  attempts
  createdAt
  startedAt
  finishedAt
}`) as unknown as TypedDocumentString<MaterializeMutation, MaterializeMutationVariables>;
export const CancelJobDocument = new TypedDocumentString(`
    mutation CancelJob($id: ID!) {
  cancelJob(id: $id) {
    ...JobReport
  }
}
    fragment JobReport on Job {
  id
  kind
  status
  progress {
    done
    total
    note
  }
  request
  result
  error {
    code
    message
  }
  log
  attempts
  createdAt
  startedAt
  finishedAt
}`) as unknown as TypedDocumentString<CancelJobMutation, CancelJobMutationVariables>;
export const ServedFieldsDocument = new TypedDocumentString(`
    query ServedFields($type: String!) {
  __type(name: $type) {
    fields(includeDeprecated: true) {
      name
      args {
        name
        type {
          ...TypeReference
        }
      }
      type {
        ...TypeReference
      }
    }
  }
}
    fragment TypeReference on __Type {
  kind
  name
  ofType {
    kind
    name
    ofType {
      kind
      name
      ofType {
        kind
        name
      }
    }
  }
}`) as unknown as TypedDocumentString<ServedFieldsQuery, ServedFieldsQueryVariables>;
export const SourcesDocument = new TypedDocumentString(`
    query Sources {
  sources {
    name
    topic
    freshness {
      ...Freshness
    }
  }
  featureViews {
    name
    version
    source
    freshness {
      engine
      lag
      newestEventTime
      takenInAt
      rowsPerMinute
    }
  }
}
    fragment Freshness on SourceFreshness {
  lag
  newestEventTime
  takenInAt
  rowsPerMinute
  events
  deadLetters
}`) as unknown as TypedDocumentString<SourcesQuery, SourcesQueryVariables>;
export const CheckSourceDocument = new TypedDocumentString(`
    mutation CheckSource($input: SourceCheckInput!) {
  checkSource(input: $input) {
    source
    declared
    origin
    sampled
    unusable
    columns {
      name
      type
      declaredType
      nulls
      role
    }
    findings {
      severity
      code
      column
      count
      message
      cure
    }
    draft
  }
}
    `) as unknown as TypedDocumentString<CheckSourceMutation, CheckSourceMutationVariables>;