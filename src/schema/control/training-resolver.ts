import { Arg, Ctx, ID, Mutation, Resolver } from 'type-graphql';
import type { FeatureService, Transformer } from '../../definition/definition.js';
import type { DefinitionRecord } from '../../definition/definition-record.js';
import type { FittedParameters } from '../../definition/transformer-options.js';
import { FStoreError } from '../../errors.js';
import { trainingSetRequestOf } from '../../retrieval/training-set-job.js';
import { RequestContext } from '../request-context.js';
import { DefinitionPlanReport } from './catalog-types.js';
import { describePlan } from './plan-description.js';

/** What a training set has found, made part of what is served. */
@Resolver()
export class TrainingResolver {
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
    if (!job) throw new FStoreError('JOB_UNKNOWN', `there is no training set ${trainingSet.slice(0, 80)}`, { field });
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
    if (!record) throw new FStoreError('VIEW_UNKNOWN', `there is no feature service ${service}`, { field });
    const request = { definitions: [...definitions, record.definition as FeatureService], prune: false, retire: [] };
    return describePlan(await apply.apply(request, false, context.actor));
  }
}
