import { Arg, Ctx, ID, Int, Mutation, Query, Resolver } from 'type-graphql';
import { FStoreError } from '../../errors.js';
import { submitMaterialization } from '../../materialization/materialize-job.js';
import type { Job as StoredJob } from '../../store/job-store.js';
import { RequestContext } from '../request-context.js';
import { Job, JobStatus } from './job-types.js';

const MAX_PAGE = 1_000;

function describe({ number: _, progress, createdAt, startedAt, finishedAt, status, ...job }: StoredJob): Job {
  return {
    ...job,
    status: JobStatus[status],
    progress: { ...progress, note: progress.note ?? null },
    log: progress.log ?? [],
    createdAt: createdAt.getTime(),
    startedAt: startedAt?.getTime() ?? null,
    finishedAt: finishedAt?.getTime() ?? null,
  };
}

/** Resolves jobs: starts, shows, lists and cancels them. */
@Resolver()
export class JobResolver {
  @Query(() => Job, { nullable: true, description: 'A job; null if there is none.' })
  async job(@Ctx() context: RequestContext, @Arg('id', () => ID) id: string): Promise<Job | null> {
    const job = await context.services.jobs.get(id);
    return job && describe(job);
  }

  @Query(() => [Job], { description: 'Jobs, newest first.' })
  async jobs(
    @Ctx() context: RequestContext,
    @Arg('kind', () => String, { nullable: true }) kind: string | undefined,
    @Arg('status', () => JobStatus, { nullable: true }) status: JobStatus | undefined,
    @Arg('first', () => Int, { defaultValue: 50 }) first: number,
  ): Promise<Job[]> {
    if (first < 1 || first > MAX_PAGE) {
      throw new FStoreError('BAD_REQUEST', `first is ${first}; it lies between 1 and ${MAX_PAGE}`, { field: 'first' });
    }
    const jobs = await context.services.jobs.list({
      kind: kind ?? undefined,
      status: status ?? undefined,
      limit: first,
    });
    return jobs.map(describe);
  }

  @Mutation(() => Job, {
    description: 'Reads a source’s file, table or query: what is newer than what was read before.',
  })
  async materialize(@Ctx() context: RequestContext, @Arg('source', () => String) source: string): Promise<Job> {
    const { jobs, snapshot } = context.services;
    return describe(await submitMaterialization(jobs, snapshot(), source));
  }

  @Mutation(() => Job, { description: 'Asks a job to end.' })
  async cancelJob(@Ctx() context: RequestContext, @Arg('id', () => ID) id: string): Promise<Job> {
    return describe(await context.services.jobs.cancel(id));
  }
}
