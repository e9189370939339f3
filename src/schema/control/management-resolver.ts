import { Arg, Ctx, ID, Mutation, Query, Resolver } from 'type-graphql';
import { RequestContext } from '../request-context.js';
import { JsonScalar } from '../scalars.js';
import { DefinitionPlanReport, DefinitionsInput, IngestReport, ReplayReport } from './catalog-types.js';
import { describePlan } from './plan-description.js';

/** Resolves operations that change the project: apply definitions, ingest events, replay dead letters. */
@Resolver()
export class ManagementResolver {
  @Query(() => DefinitionPlanReport, { description: 'Shows what applying these definitions would change.' })
  async planDefinitions(
    @Ctx() context: RequestContext,
    @Arg('input', () => DefinitionsInput) input: DefinitionsInput,
  ): Promise<DefinitionPlanReport> {
    return describePlan(await context.services.apply.plan(input));
  }

  @Mutation(() => DefinitionPlanReport, { description: 'Applies definitions: all of them, or none.' })
  async applyDefinitions(
    @Ctx() context: RequestContext,
    @Arg('input', () => DefinitionsInput) input: DefinitionsInput,
    @Arg('allowBreaking', () => Boolean, { defaultValue: false }) allowBreaking: boolean,
  ): Promise<DefinitionPlanReport> {
    return describePlan(await context.services.apply.apply(input, allowBreaking, context.actor));
  }

  @Mutation(() => IngestReport, { description: 'Pushes events of a source: all of them, or none.' })
  async ingest(
    @Ctx() context: RequestContext,
    @Arg('source', () => String) source: string,
    @Arg('events', () => [JsonScalar]) events: unknown[],
  ): Promise<IngestReport> {
    const { ingestion, snapshot } = context.services;
    return { accepted: await ingestion.ingest(snapshot(), source, events) };
  }

  @Mutation(() => ReplayReport, { description: 'Sends dead letters to their topic once more.' })
  async replayDeadLetters(
    @Ctx() context: RequestContext,
    @Arg('ids', () => [ID]) ids: string[],
  ): Promise<ReplayReport> {
    const { ingestion, snapshot } = context.services;
    return { replayed: await ingestion.replay(snapshot(), ids) };
  }
}
