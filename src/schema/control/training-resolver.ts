import { Arg, Ctx, Field, Float, ID, InputType, Int, Mutation, Resolver } from 'type-graphql';
import type { FeatureService, Transformer } from '../../definition/definition.js';
import type { DefinitionRecord } from '../../definition/definition-record.js';
import type { FittedParameters } from '../../definition/transformer-options.js';
import { FStoreError } from '../../errors.js';
import {
  needsFile,
  readTrainingSetRequest,
  submitTrainingSet,
  trainingSetRequestOf,
  writeSpineRows,
} from '../../retrieval/training-set-job.js';
import { unknownJob } from '../../store/job-store.js';
import { RequestContext } from '../request-context.js';
import { DateTime, JsonScalar } from '../scalars.js';
import { DefinitionPlanReport } from './catalog-types.js';
import { describePlan } from './plan-description.js';

@InputType({
  description: 'How the rows of a training set are split: a share of rows or entities, or all from an instant on.',
})
export class TrainingSplitInput {
  @Field(() => String, { description: '`row`, `entity` or `time`.' })
  by!: string;

  @Field(() => Float, { nullable: true, description: 'Share for testing, between 0 and 1.' })
  test?: number;

  @Field(() => Int, { nullable: true, description: 'Another split of the same shares.' })
  seed?: number;

  @Field(() => DateTime, { nullable: true, description: 'Rows from this instant on are for testing.' })
  testFrom?: number;
}

@InputType({
  description:
    'What a training set is made of. The examples are `rows`, the result of `sql`, or the events of `source`.',
})
export class TrainingSetInput {
  @Field(() => String)
  service!: string;

  @Field(() => [JsonScalar], {
    nullable: true,
    description:
      'Examples: objects with the join keys, the time, request data and whatever else belongs to them. For large files there is REST.',
  })
  rows?: unknown[];

  @Field(() => String, { nullable: true, description: 'A SELECT of the offline store; where the server allows it.' })
  sql?: string;

  @Field(() => String, { nullable: true, description: 'A source whose events are the examples.' })
  source?: string;

  @Field(() => String, { nullable: true, description: 'Column with the time of each example; default `event_time`.' })
  timestamp?: string;

  @Field(() => String, { nullable: true, description: '`parquet` (default), `csv`, `ndjson` or `arrow`.' })
  format?: string;

  @Field(() => Boolean, {
    nullable: true,
    description: 'Only what happened before the time of the example, not at it.',
  })
  before?: boolean;

  @Field(() => Boolean, { nullable: true, description: 'Only what had arrived by then.' })
  known?: boolean;

  @Field(() => Boolean, { nullable: true, description: 'Fit the transformers of the service on the train split.' })
  fit?: boolean;

  @Field(() => String, {
    nullable: true,
    description: 'What joins the examples with history: `builtin` (default) or `spark`.',
  })
  engine?: string;

  @Field(() => TrainingSplitInput, { nullable: true })
  split?: TrainingSplitInput;
}

/** Resolves the creation of training sets and the publication of the transformers that were fitted on them. */
@Resolver()
export class TrainingResolver {
  @Mutation(() => ID, {
    description:
      'Begins to build a training set; returns the id of its job. The file is at /api/v1/training-sets/{id}/data.',
  })
  async createTrainingSet(
    @Ctx() context: RequestContext,
    @Arg('input', () => TrainingSetInput) { rows, ...input }: TrainingSetInput,
  ): Promise<string> {
    const { snapshot, trainingSets } = context.services;
    const given = Object.entries({ ...input, split: input.split && { ...input.split } }).filter(
      ([, value]) => value != null,
    );
    const request = readTrainingSetRequest(
      { ...Object.fromEntries(given), ...(rows ? { spineFormat: 'ndjson' } : {}) },
      snapshot(),
      trainingSets,
    );
    if (needsFile(request) !== (rows !== undefined && rows !== null)) {
      const message = rows
        ? 'the examples are either rows, sql or source'
        : 'there are no examples: give rows, sql or source';
      throw new FStoreError('BAD_REQUEST', message, { field: 'input.rows' });
    }
    if (rows) await writeSpineRows(trainingSets.folder, request, rows);
    const { id } = await submitTrainingSet(context.services, request);
    return id;
  }

  @Mutation(() => DefinitionPlanReport, {
    description: 'Applies the transformers that were fitted on a training set, and its service with them.',
  })
  async publishTransformers(
    @Ctx() context: RequestContext,
    @Arg('trainingSet', () => ID, { description: 'Job of the training set.' }) trainingSet: string,
  ): Promise<DefinitionPlanReport> {
    const { jobs, snapshot, apply } = context.services;
    const job = await jobs.get(trainingSet);
    const field = 'trainingSet';
    if (!job) throw unknownJob(trainingSet, 'training set', field);
    const { service } = trainingSetRequestOf(job);
    if (job.status !== 'SUCCEEDED') {
      throw new FStoreError('TRAINING_SET_UNFINISHED', `training set ${job.id} is ${job.status}`, { field });
    }
    const { fitted, transformers } = job.result as unknown as {
      fitted: readonly string[];
      transformers: Readonly<Record<string, FittedParameters>>;
    };
    if (fitted.length === 0) {
      throw new FStoreError('BAD_REQUEST', `training set ${job.id} has fitted no transformer: ask for it with fit`, {
        field,
      });
    }
    const current = snapshot();
    const definitions = fitted.map((origin): Transformer => {
      const record = current.records.find(
        (one): one is DefinitionRecord<Transformer> =>
          one.kind === 'transformer' && `${one.name}@${one.version}` === origin && one.active,
      );
      if (!record) {
        const message = `${origin} has changed since training set ${job.id} was built: build it again`;
        throw new FStoreError('REVISION_CONFLICT', message, { field });
      }
      return { ...record.definition, parameters: transformers[origin]!, fittedOn: job.id };
    });
    const record = current.services.get(service);
    if (!record) throw new FStoreError('SERVICE_UNKNOWN', `there is no feature service ${service}`, { field });
    const request = { definitions: [...definitions, record.definition as FeatureService], prune: false, retire: [] };
    return describePlan(await apply.apply(request, false, context.actor));
  }
}
