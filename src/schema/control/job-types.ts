import { Field, Float, ID, Int, ObjectType, registerEnumType } from 'type-graphql';
import { DateTime, JsonScalar } from '../scalars.js';

export enum JobStatus {
  QUEUED = 'QUEUED',
  RUNNING = 'RUNNING',
  SUCCEEDED = 'SUCCEEDED',
  FAILED = 'FAILED',
  CANCELLED = 'CANCELLED',
}
registerEnumType(JobStatus, { name: 'JobStatus', description: 'How far a job is.' });

@ObjectType({ description: 'How far a job is, in whatever its kind counts.' })
export class JobProgress {
  @Field(() => Float)
  done!: number;

  @Field(() => Float, { nullable: true, description: 'Null where nobody knows.' })
  total!: number | null;

  @Field(() => String, { nullable: true })
  note!: string | null;
}

@ObjectType({ description: 'Why a job failed.' })
export class JobFailure {
  @Field(() => String)
  code!: string;

  @Field(() => String)
  message!: string;
}

@ObjectType({ description: 'Long work: it outlives the request, and the process that does it.' })
export class Job {
  @Field(() => ID, { description: 'A UUIDv7.' })
  id!: string;

  @Field(() => String, { description: '`trainingSet`, `materialize` or `stream`.' })
  kind!: string;

  @Field(() => JobStatus)
  status!: JobStatus;

  @Field(() => JobProgress)
  progress!: JobProgress;

  @Field(() => JsonScalar)
  request!: unknown;

  @Field(() => JsonScalar, { nullable: true, description: 'What it has made; of a training set, its manifest.' })
  result!: unknown;

  @Field(() => JobFailure, { nullable: true })
  error!: JobFailure | null;

  @Field(() => [String], { description: 'The last lines of what its engine said, oldest first.' })
  log!: readonly string[];

  @Field(() => Int, { description: 'How often a worker has begun it.' })
  attempts!: number;

  @Field(() => DateTime)
  createdAt!: number;

  @Field(() => DateTime, { nullable: true })
  startedAt!: number | null;

  @Field(() => DateTime, { nullable: true })
  finishedAt!: number | null;
}
