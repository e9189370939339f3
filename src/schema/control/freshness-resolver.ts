import DataLoader from 'dataloader';
import { Arg, Ctx, FieldResolver, Query, Resolver, Root } from 'type-graphql';
import { FStoreError } from '../../errors.js';
import type { Freshness, SourceReport } from '../../materialization/freshness.js';
import { RequestContext } from '../request-context.js';
import { describeSource } from './catalog-resolver.js';
import { FeatureViewDefinition, SourceDefinition } from './catalog-types.js';
import { SourceFreshness, ViewFreshness } from './freshness-types.js';

/** One loader for each request, created at its first lookup, so that any number of sources costs one lookup. */
const loaders = new WeakMap<RequestContext, DataLoader<string, SourceReport | null>>();

async function report(context: RequestContext, source: string): Promise<SourceReport | null> {
  let loader = loaders.get(context);
  if (!loader) {
    const { freshness, snapshot } = context.services;
    loader = new DataLoader(async (names) => {
      const found = await freshness.of(snapshot(), names);
      return names.map((name) => found.get(name) ?? null);
    });
    loaders.set(context, loader);
  }
  return loader.load(source);
}

function describe({ lag, newest, movedAt, perMinute, events, unusable }: Freshness): SourceFreshness {
  const counts = { rowsPerMinute: Math.round(perMinute * 10) / 10, events, deadLetters: unusable };
  return { lag, newestEventTime: newest, takenInAt: movedAt, ...counts };
}

/** Resolves the freshness of sources, and one source by its name. */
@Resolver(() => SourceDefinition)
export class SourceFreshnessResolver {
  @Query(() => SourceDefinition, { description: 'One source.' })
  source(@Ctx() context: RequestContext, @Arg('name', () => String) name: string): SourceDefinition {
    const record = context.services.snapshot().sources.get(name);
    if (!record) throw new FStoreError('SOURCE_UNKNOWN', `there is no source ${name.slice(0, 80)}`, { field: 'name' });
    return describeSource(record);
  }

  @FieldResolver(() => SourceFreshness, {
    nullable: true,
    description: 'How fresh it is; looked up when it is asked for.',
  })
  async freshness(@Root() source: SourceDefinition, @Ctx() context: RequestContext): Promise<SourceFreshness | null> {
    const found = await report(context, source.name);
    return found && describe(found.source);
  }
}

/** Resolves the freshness of views. */
@Resolver(() => FeatureViewDefinition)
export class ViewFreshnessResolver {
  @FieldResolver(() => ViewFreshness, {
    nullable: true,
    description: 'How fresh it is; looked up when it is asked for.',
  })
  async freshness(@Root() view: FeatureViewDefinition, @Ctx() context: RequestContext): Promise<ViewFreshness | null> {
    const found = (await report(context, view.source))?.views.get(`${view.name}@${view.version}`);
    return found ? { ...describe(found), engine: found.engine } : null;
  }
}
