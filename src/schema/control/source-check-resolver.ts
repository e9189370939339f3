import { Arg, Ctx, Mutation, Resolver } from 'type-graphql';
import { RequestContext } from '../request-context.js';
import { SourceCheckInput, SourceCheckReport } from './source-check-types.js';

/** Resolves `checkSource`, which examines data before a source relies on it. */
@Resolver()
export class SourceCheckResolver {
  // It changes nothing, but a page of another site must not be able to have it run by a GET.
  @Mutation(() => [SourceCheckReport], {
    description:
      'Looks at what a source points at: what the data holds, what of it would be dead letters, and how a definition could read.',
  })
  async checkSource(
    @Ctx() context: RequestContext,
    @Arg('input', () => SourceCheckInput) { sample, ...input }: SourceCheckInput,
  ): Promise<readonly SourceCheckReport[]> {
    const { sourceChecks, snapshot } = context.services;
    const given = Object.entries(input).filter(([, value]) => value !== null && value !== undefined);
    return sourceChecks.check(snapshot(), { ...Object.fromEntries(given), sample });
  }
}
