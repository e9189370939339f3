/** The GraphQL types of definitions in the catalog. Runtime types are given explicitly, never inferred. */
import { Field, ID, InputType, Int, ObjectType, registerEnumType } from 'type-graphql';
import { DateTime, JsonScalar } from '../scalars.js';

export enum ChangeAction {
  CREATE = 'CREATE',
  NEW_VERSION = 'NEW_VERSION',
  UPDATE = 'UPDATE',
  RETIRE = 'RETIRE',
}
registerEnumType(ChangeAction, {
  name: 'ChangeAction',
  description: 'What an apply does to one definition.',
  valuesConfig: {
    CREATE: { description: 'It is new.' },
    NEW_VERSION: { description: 'Its meaning changed.' },
    UPDATE: { description: 'Only its text changed: description, owner, tags, TTL or names.' },
    RETIRE: { description: 'It is no longer served nor computed.' },
  },
});

export enum Criticality {
  SAFE = 'SAFE',
  DANGEROUS = 'DANGEROUS',
  BREAKING = 'BREAKING',
}
registerEnumType(Criticality, { name: 'Criticality', description: 'What a schema change may do to clients.' });

@ObjectType({ description: 'The project that this server serves.' })
export class Project {
  @Field(() => String)
  name!: string;

  @Field(() => Int, { description: 'Revision of the registry that this replica serves.' })
  revision!: number;
}

/** The fields that all definitions in the catalog share. */
@ObjectType()
abstract class Declared {
  @Field(() => String)
  name!: string;

  @Field(() => Int)
  version!: number;

  @Field(() => String, { nullable: true })
  description!: string | null;

  @Field(() => String, { nullable: true })
  owner!: string | null;
}

@ObjectType({ description: 'A join key of an entity.' })
export class JoinKeyDefinition {
  @Field(() => String)
  name!: string;

  @Field(() => String, { description: 'Value type: STRING, INT32 or INT64.' })
  type!: string;
}

@ObjectType({ description: 'An entity of the catalog.' })
export class EntityDefinition extends Declared {
  @Field(() => [JoinKeyDefinition])
  joinKeys!: JoinKeyDefinition[];

  @Field(() => String, { description: 'Its type in this schema.' })
  graphqlType!: string;
}

@ObjectType({ description: 'A column of a source.' })
export class ColumnDefinition {
  @Field(() => String)
  name!: string;

  @Field(() => String)
  type!: string;
}

@ObjectType({ description: 'A source of the catalog.' })
export class SourceDefinition extends Declared {
  @Field(() => [ColumnDefinition])
  columns!: ColumnDefinition[];

  @Field(() => String, { description: 'The column that says when an event happened.' })
  timestamp!: string;

  @Field(() => String, { nullable: true, description: 'Topic of the event bus; null: it takes no events.' })
  topic!: string | null;
}

@ObjectType({ description: 'A feature of a view.' })
export class FeatureDefinition {
  @Field(() => String)
  name!: string;

  @Field(() => String)
  type!: string;

  @Field(() => String, { nullable: true, description: 'Column of the source; null if it is computed.' })
  column!: string | null;

  @Field(() => String, { nullable: true, description: 'How it is computed, such as `sum(amount) over 7d`.' })
  computation!: string | null;

  @Field(() => String, { description: 'Its field in this schema.' })
  graphqlField!: string;

  @Field(() => String, { nullable: true })
  description!: string | null;
}

@ObjectType({ description: 'A version of a feature view.' })
export class FeatureViewDefinition extends Declared {
  @Field(() => Boolean, { description: 'Whether it is the version that the field without a suffix serves.' })
  current!: boolean;

  @Field(() => String)
  entity!: string;

  @Field(() => String)
  source!: string;

  @Field(() => [FeatureDefinition])
  features!: FeatureDefinition[];

  @Field(() => Int, { nullable: true, description: 'Seconds after which a value is OUTSIDE_MAX_AGE.' })
  ttlSeconds!: number | null;

  @Field(() => String, { description: 'Its field on the entity type.' })
  graphqlField!: string;

  @Field(() => String, { description: 'Its type in this schema.' })
  graphqlType!: string;

  @Field(() => JsonScalar)
  tags!: Readonly<Record<string, string>>;
}

@ObjectType({ description: 'A feature service of the catalog.' })
export class FeatureServiceDefinition extends Declared {
  @Field(() => [String], { description: 'References as view@version:feature.' })
  features!: string[];

  @Field(() => String, { description: 'Its query field in this schema.' })
  graphqlField!: string;
}

@ObjectType({ description: 'An operation that a consumer has registered.' })
export class ConsumerOperation {
  @Field(() => ID, { description: 'SHA-256 of the document: `documentId` of a request is `sha256:` and this.' })
  id!: string;

  @Field(() => String, { nullable: true })
  name!: string | null;

  @Field(() => String, { description: 'The document, exactly as its id says.' })
  document!: string;

  @Field(() => String, { nullable: true, description: 'Why it does not fit this schema; null if it does.' })
  fault!: string | null;
}

@ObjectType({ description: 'A program that reads features, with the operations that it sends.' })
export class ConsumerDefinition extends Declared {
  @Field(() => [ConsumerOperation])
  operations!: ConsumerOperation[];
}

@ObjectType({ description: 'A change to one definition.' })
export class DefinitionChange {
  @Field(() => ChangeAction)
  action!: ChangeAction;

  @Field(() => String)
  kind!: string;

  @Field(() => String)
  name!: string;

  @Field(() => Int)
  version!: number;
}

@ObjectType({ description: 'A change to the GraphQL schema.' })
export class SchemaChangeEntry {
  @Field(() => Criticality)
  criticality!: Criticality;

  @Field(() => String)
  message!: string;

  @Field(() => String, { nullable: true })
  path!: string | null;
}

@ObjectType({ description: 'What an apply would do or did.' })
export class DefinitionPlanReport {
  @Field(() => Int, { description: 'The revision it was planned on, or made.' })
  revision!: number;

  @Field(() => [DefinitionChange])
  changes!: DefinitionChange[];

  @Field(() => [SchemaChangeEntry])
  schemaChanges!: SchemaChangeEntry[];
}

@InputType({ description: 'Definitions and what to do with them.' })
export class DefinitionsInput {
  @Field(() => [JsonScalar], { description: 'Definitions as in a definition file.' })
  definitions!: unknown[];

  @Field(() => Boolean, { defaultValue: false, description: 'Retire everything that is not among the definitions.' })
  prune!: boolean;

  @Field(() => [String], { defaultValue: [], description: 'Older view versions to retire, such as user_stats@1.' })
  retire!: string[];
}

@ObjectType({ description: 'The answer to pushed events.' })
export class IngestReport {
  @Field(() => Int, { description: 'Events that are durable now.' })
  accepted!: number;
}

@ObjectType({ description: 'The answer to a replay.' })
export class ReplayReport {
  @Field(() => Int, { description: 'Dead letters that were sent once more.' })
  replayed!: number;
}

@ObjectType('DeadLetter', { description: 'An event that could not be used, with the reason.' })
export class DeadLetterEntry {
  @Field(() => ID)
  id!: string;

  @Field(() => String)
  source!: string;

  @Field(() => String, { description: 'Where it came from: topic/partition/offset.' })
  origin!: string;

  @Field(() => String, { description: 'Error code.' })
  code!: string;

  @Field(() => String)
  message!: string;

  @Field(() => String, { nullable: true, description: 'The column at fault.' })
  field!: string | null;

  @Field(() => String, { description: 'The event as it came; bytes that are no UTF-8 are replaced.' })
  payload!: string;

  @Field(() => DateTime)
  arrivedAt!: Date;

  @Field(() => DateTime, { nullable: true })
  replayedAt!: Date | null;
}

@ObjectType({ description: 'Who changed the registry, when, and what.' })
export class AuditEntry {
  @Field(() => Int)
  revision!: number;

  @Field(() => String)
  actor!: string;

  @Field(() => [String])
  summary!: readonly string[];

  @Field(() => DateTime)
  appliedAt!: Date;
}
