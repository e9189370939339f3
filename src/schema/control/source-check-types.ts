/** The GraphQL types for the result of a source check. */
import { Field, InputType, Int, ObjectType } from 'type-graphql';
import { JsonScalar } from '../scalars.js';

@InputType({ description: 'What is looked at: one of these, but for `sample`.' })
export class SourceCheckInput {
  @Field(() => String, { nullable: true, description: 'A source that is declared.' })
  source?: string | null;

  @Field(() => [JsonScalar], { nullable: true, description: 'Definitions that are not applied: their sources.' })
  definitions?: unknown[] | null;

  @Field(() => String, { nullable: true, description: 'A topic of the event bus.' })
  topic?: string | null;

  @Field(() => String, { nullable: true, description: 'A table of the offline store’s PostgreSQL.' })
  table?: string | null;

  @Field(() => String, { nullable: true, description: 'A SELECT on the offline store’s PostgreSQL.' })
  query?: string | null;

  @Field(() => String, { nullable: true, description: 'A path within the folder of batch files.' })
  file?: string | null;

  @Field(() => Int, { defaultValue: 1_000, description: 'Records to look at.' })
  sample!: number;
}

@ObjectType({ description: 'A column of a sample.' })
export class CheckedColumn {
  @Field(() => String)
  name!: string;

  @Field(() => String, { description: 'The type that its values seem to be of.' })
  type!: string;

  @Field(() => String, { nullable: true, description: 'The type that the source declares; null: none.' })
  declaredType!: string | null;

  @Field(() => Int, { description: 'Records in which it is null or missing.' })
  nulls!: number;

  @Field(() => String, { nullable: true, description: '`eventTime` or `joinKey`.' })
  role!: string | null;
}

@ObjectType({ description: 'Something that is, or may be, wrong.' })
export class SourceFinding {
  @Field(() => String, { description: '`error` or `warning`.' })
  severity!: string;

  @Field(() => String, { description: 'Error code.' })
  code!: string;

  @Field(() => String, { nullable: true })
  column!: string | null;

  @Field(() => Int, { nullable: true, description: 'Records of the sample; null: it is not about single records.' })
  count!: number | null;

  @Field(() => String)
  message!: string;

  @Field(() => String)
  cure!: string;
}

@ObjectType({ description: 'What a look at some records of a source shows.' })
export class SourceCheckReport {
  @Field(() => String, { description: 'The source that is declared, or the name that the draft gives it.' })
  source!: string;

  @Field(() => Boolean)
  declared!: boolean;

  @Field(() => String, { description: 'Where the records are from, in words.' })
  origin!: string;

  @Field(() => Int, { description: 'Records that were looked at.' })
  sampled!: number;

  @Field(() => Int, { nullable: true, description: 'Records that would be dead letters; null: nothing is declared.' })
  unusable!: number | null;

  @Field(() => [CheckedColumn])
  columns!: readonly CheckedColumn[];

  @Field(() => [SourceFinding])
  findings!: readonly SourceFinding[];

  @Field(() => String, { nullable: true, description: 'A definition file to begin with; null: too little is known.' })
  draft!: string | null;
}
