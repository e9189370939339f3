/** `fstore jobs` and `fstore materialize`: start, watch and cancel long-running jobs. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { unknownJob } from '../store/job-store.js';
import { addConnectionOptions, type ConnectionOptions, connect } from './connection.js';
import { ServerError } from './failure.js';
import {
  CancelJobDocument,
  FindJobDocument,
  type FindJobQuery,
  ListJobsDocument,
  MaterializeDocument,
} from './generated/operations.js';
import type { GraphqlClient } from './graphql-client.js';
import { printJson, printLines } from './output.js';
import { ProgressBar } from './progress-bar.js';
import { layOutTable, showValue } from './table.js';

type JobReport = NonNullable<FindJobQuery['job']>;

const POLL = 300;
const SHOWN = 50;

function progressOf({ progress: { done, total, note } }: JobReport): string {
  return [total === null ? `${done}` : `${done} of ${total}`, note].filter((part) => part).join(', ');
}

function lines(job: JobReport): string[] {
  const fields: [string, unknown][] = [
    ['job', job.id],
    ['kind', job.kind],
    ['status', job.status],
    ['progress', progressOf(job)],
    ['attempts', job.attempts],
    ['created', job.createdAt],
    ['started', job.startedAt],
    ['finished', job.finishedAt],
    ['error', job.error && `${job.error.code}: ${job.error.message}`],
    ['request', JSON.stringify(job.request)],
    ...job.log.map((line, index): [string, unknown] => [index === 0 ? 'log' : '', line]),
  ];
  return layOutTable(
    null,
    fields.map(([name, value]) => [name, showValue(value)]),
  );
}

async function find(client: GraphqlClient, id: string): Promise<JobReport> {
  const { job } = await client.request(FindJobDocument, { id });
  if (!job) throw unknownJob(id);
  return job;
}

/** Waits until a job has succeeded, with a progress bar. Throws its error if it failed or was cancelled. */
async function waitFor(client: GraphqlClient, label: string, id: string): Promise<JobReport> {
  const bar = new ProgressBar(label, null);
  try {
    for (;;) {
      const job = await find(client, id);
      bar.show(job.progress.done, progressOf(job));
      if (job.status === 'SUCCEEDED') return job;
      if (job.error) throw new ServerError(job.error.code, 409, job.error.message, {});
      if (job.status === 'CANCELLED') throw new ServerError('JOB_LOST', 409, `job ${id} was cancelled`, {});
      await delay(POLL);
    }
  } finally {
    bar.clear();
  }
}

/** Adds `fstore jobs`. */
export function registerJobs(program: Command): void {
  const jobs = addConnectionOptions(program.command('jobs').option('--kind <kind>', 'only jobs of this kind'))
    .description('list jobs, newest first')
    .action(async ({ kind, ...options }: ConnectionOptions & { kind?: string }) => {
      const { jobs: found } = await connect(options).request(ListJobsDocument, { kind: kind ?? null, first: SHOWN });
      if (options.json) return printJson(found);
      const rows = found.map((job) => [job.id, job.kind, job.status, progressOf(job), showValue(job.createdAt)]);
      return printLines(
        rows.length > 0 ? layOutTable(['job', 'kind', 'status', 'progress', 'created'], rows) : ['No jobs.'],
      );
    });
  for (const [verb, description] of [
    ['show', 'show a job'],
    ['cancel', 'ask a job to end'],
  ] as const) {
    addConnectionOptions(jobs.command(verb).argument('<id>', 'id of the job'))
      .description(description)
      .action(async (id: string, _: unknown, command: Command) => {
        const options = command.optsWithGlobals<ConnectionOptions>();
        const client = connect(options);
        const job =
          verb === 'show' ? await find(client, id) : (await client.request(CancelJobDocument, { id })).cancelJob;
        if (options.json) printJson(job);
        else printLines(lines(job));
      });
  }
}

/** Adds `fstore materialize`. */
export function registerMaterialize(program: Command): void {
  addConnectionOptions(
    program
      .command('materialize')
      .argument('<source>', 'source with a `batch:`')
      .option('--no-wait', 'do not wait for it'),
  )
    .description("read a source's file, table or query: what is newer than what was read before")
    .action(async (source: string, { wait, ...options }: ConnectionOptions & { wait: boolean }) => {
      const client = connect(options);
      const { materialize } = await client.request(MaterializeDocument, { source });
      const job = wait ? await waitFor(client, `Materializing ${source}`, materialize.id) : materialize;
      if (options.json) return printJson(job);
      if (!wait) return printLines([`Job ${job.id} is queued; fstore jobs show ${job.id} tells how far it is.`]);
      const { read, written, deadLetters, watermark } = job.result as Record<string, unknown>;
      return printLines([
        `Job ${job.id}: ${read} rows read, ${written} new, ${deadLetters} unusable (fstore dead-letters shows them).`,
        `The next run takes rows after ${showValue(watermark)}.`,
      ]);
    });
}
