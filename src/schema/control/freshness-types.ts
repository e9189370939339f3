/** The GraphQL types for the freshness of sources and views. */
import { Field, Float, ObjectType } from 'type-graphql';
import { DateTime } from '../scalars.js';

@ObjectType()
abstract class Fresh {
  @Field(() => Float, { nullable: true, description: 'Events that wait in the event bus; null: there is no stream.' })
  lag!: number | null;

  @Field(() => DateTime, { nullable: true, description: 'The newest event time that was taken in.' })
  newestEventTime!: number | null;

  @Field(() => DateTime, { nullable: true, description: 'When something was last taken in.' })
  takenInAt!: number | null;

  @Field(() => Float, { description: 'Events of the last minute.' })
  rowsPerMinute!: number;

  @Field(() => Float, { description: 'Events that were taken in so far.' })
  events!: number;

  @Field(() => Float, { description: 'Events that became dead letters so far.' })
  deadLetters!: number;
}

@ObjectType({ description: 'How far a source has been taken in, from its stream and in batches.' })
export class SourceFreshness extends Fresh {}

@ObjectType({
  description: 'How far a view has been computed; one on the built-in processor stands where its source stands.',
})
export class ViewFreshness extends Fresh {
  @Field(() => String, { description: 'What computes it: `builtin` or `spark`.' })
  engine!: string;
}
