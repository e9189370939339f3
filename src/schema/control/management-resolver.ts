import { Arg, Ctx, ID, Mutation, Query, Resolver } from 'type-graphql';
import { type PlanReport } from '../plan-report.js';
import { RequestContext } from '../request-context.js';
import { JsonScalar } from '../scalars.js';
import {
  ChangeAction,
  Criticality,
  DefinitionPlanReport,
  DefinitionsInput,
  IngestReport,
  ReplayReport,
} from './catalog-types.js';

function report({ revision, changes, schemaChanges }: PlanReport): DefinitionPlanReport {
  return {
    revision,
    changes: changes.map(({ action, kind, name, version }) => ({ action: ChangeAction[action], kind, name, version })),
    schemaChanges: schemaChanges.map((change) => ({ ...change, criticality: Criticality[change.criticality] })),
  };
}

/** What changes the project: definitions, events, and events that failed. */
@Resolver()
export class ManagementResolver {
  @Query(() => DefinitionPlanReport, { description: 'Shows what applying these definitions would change.' })
  async planDefinitions(
    @Ctx() context: RequestContext,
    @Arg('input', () => DefinitionsInput) input: DefinitionsInput,
  ): Promise<DefinitionPlanReport> {
    return report(await context.services.apply.plan(input));
  }

  @Mutation(() => DefinitionPlanReport, { description: 'Applies definitions: all of them, or none.' })
  async applyDefinitions(
    @Ctx() context: RequestContext,
    @Arg('input', () => DefinitionsInput) input: DefinitionsInput,
    @Arg('allowBreaking', () => Boolean, { defaultValue: false }) allowBreaking: boolean,
  ): Promise<DefinitionPlanReport> {
    return report(await context.services.apply.apply(input, allowBreaking, context.actor));
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
    return { replayed: await context.services.ingestion.replay(ids) };
  }
}
