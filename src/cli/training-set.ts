/** `fstore training-set`: builds a training set from a spine (its entity-and-time rows) and downloads it. */
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { extname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { addConnectionOptions, type ConnectionOptions, connect } from './connection.js';
import { ServerError, UsageError } from './failure.js';
import { PublishTransformersDocument } from './generated/operations.js';
import type { GraphqlClient } from './graphql-client.js';
import { printJson, printLines } from './output.js';
import { ProgressBar } from './progress-bar.js';
import { layOutTable } from './table.js';

const FORMATS = ['parquet', 'csv', 'ndjson', 'arrow'];
const POLL = 300;

const HELP = `
The spine has a row for each example: the join keys of the service, the time of the example, the request data that the service asks for,
and whatever else belongs to it, such as a label. Rows come back in their order, with the features as they were at their time.

Examples:
  fstore training-set fraud_detection labels.csv -o training.parquet
  fstore training-set fraud_detection --source chargebacks -o set.parquet
  fstore training-set fraud_detection labels.parquet -o set.parquet --test 0.2 --split-by entity --fit --publish
`;

interface TrainingSetCommand extends ConnectionOptions {
  readonly output?: string;
  readonly source?: string;
  readonly sql?: string;
  readonly format?: string;
  readonly spineFormat?: string;
  readonly timestamp: string;
  readonly before?: boolean;
  readonly known?: boolean;
  readonly test?: string;
  readonly splitBy: string;
  readonly seed?: string;
  readonly testFrom?: string;
  readonly fit?: boolean;
  readonly engine?: string;
  readonly publish?: boolean;
  readonly wait: boolean;
}

interface Manifest {
  readonly rows: number;
  readonly bytes: number;
  readonly sha256: string;
  readonly columns: readonly { name: string; type: string; origin: string; statistics: Record<string, unknown> }[];
  readonly split: { train: number; test: number } | null;
  readonly fitted: readonly string[];
}

interface TrainingSetJob {
  readonly id: string;
  readonly status: 'QUEUED' | 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'CANCELLED';
  readonly progress: { done: number; total: number | null; note?: string };
  readonly error: { code: string; message: string } | null;
  readonly result: Manifest | null;
}

function formatOf(path: string | undefined, given: string | undefined): string | undefined {
  if (given || path === undefined) return given;
  const extension = extname(path).slice(1).toLowerCase().replace('jsonl', 'ndjson');
  return FORMATS.includes(extension) ? extension : undefined;
}

function queryOf(service: string, spine: string | undefined, options: TrainingSetCommand): URLSearchParams {
  const spineFormat = formatOf(spine, options.spineFormat);
  if (spine && !spineFormat)
    throw new UsageError(`${spine} does not say its format`, `Give --spine-format ${FORMATS.join('|')}.`);
  const { source, sql, timestamp, test, testFrom, seed, engine } = options;
  const entries = {
    service,
    source,
    sql,
    spineFormat,
    timestamp,
    format: formatOf(options.output, options.format),
    before: options.before ? 'true' : undefined,
    known: options.known ? 'true' : undefined,
    fit: options.fit ? 'true' : undefined,
    engine,
    test,
    testFrom,
    ...(test === undefined ? {} : { splitBy: options.splitBy, seed }),
  };
  const given = Object.entries(entries).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return new URLSearchParams(given);
}

async function submit(
  client: GraphqlClient,
  query: URLSearchParams,
  spine: string | undefined,
): Promise<TrainingSetJob> {
  if (spine === undefined) {
    return (await (await client.rest(`/api/v1/training-sets?${query}`, { method: 'POST' })).json()) as TrainingSetJob;
  }
  const size = await stat(spine).then(
    (found) => found.size,
    () => {
      throw new UsageError(`there is no file ${spine}`, 'Name a file of examples: CSV, NDJSON, Parquet or Arrow.');
    },
  );
  const bar = new ProgressBar('Sending the spine', size);
  let sent = 0;
  const body = Readable.toWeb(
    createReadStream(spine).on('data', (chunk) => {
      sent += chunk.length;
      bar.show(sent);
    }),
  );
  try {
    const answer = await client.rest(`/api/v1/training-sets?${query}`, {
      method: 'POST',
      body: body as NonNullable<RequestInit['body']>,
    });
    return (await answer.json()) as TrainingSetJob;
  } finally {
    bar.clear();
  }
}

async function waitFor(client: GraphqlClient, id: string): Promise<TrainingSetJob> {
  let bar: ProgressBar | null = null;
  try {
    for (;;) {
      const job = (await (await client.rest(`/api/v1/training-sets/${id}`)).json()) as TrainingSetJob;
      const { done, total, note = '' } = job.progress;
      bar ??= job.status === 'RUNNING' ? new ProgressBar('Building the training set', total) : null;
      bar?.show(done, `${done} rows ${note}`);
      if (job.status === 'SUCCEEDED') return job;
      if (job.status === 'FAILED' || job.status === 'CANCELLED') {
        const { code, message } = job.error ?? { code: 'TRAINING_SET_UNFINISHED', message: `job ${id} was cancelled` };
        throw new ServerError(code, 409, message, {});
      }
      await delay(POLL);
    }
  } finally {
    bar?.clear();
  }
}

function summary(job: TrainingSetJob, output: string | undefined): string[] {
  const { rows, bytes, sha256, columns, split, fitted } = job.result!;
  const shown = columns.map(({ name, type, origin, statistics: { nulls, min, max, mean } }) =>
    [name, type, origin, nulls, min ?? '–', max ?? '–', mean ?? '–'].map(String),
  );
  return [
    ...layOutTable(['column', 'type', 'from', 'nulls', 'min', 'max', 'mean'], shown),
    '',
    `Training set ${job.id}: ${rows} rows, ${bytes} bytes, sha256 ${sha256.slice(0, 16)}…`,
    ...(split ? [`${split.train} rows for training, ${split.test} for testing.`] : []),
    ...(fitted.length > 0 ? [`Fitted on the train split: ${fitted.join(', ')}.`] : []),
    ...(output ? [`Written to ${output}.`] : []),
  ];
}

async function build(service: string, spine: string | undefined, options: TrainingSetCommand): Promise<void> {
  const client = connect(options);
  if (options.publish && !options.wait) throw new UsageError('--publish waits for the set', 'Leave out --no-wait.');
  if ([spine, options.source, options.sql].filter((one) => one !== undefined).length !== 1) {
    throw new UsageError('the examples come from one place', 'Name a file, or give --source or --sql.');
  }
  const submitted = await submit(client, queryOf(service, spine, options), spine);
  if (!options.wait) {
    if (options.json) printJson(submitted);
    else printLines([`Training set ${submitted.id} is queued; fstore jobs show ${submitted.id} tells how far it is.`]);
    return;
  }
  const job = await waitFor(client, submitted.id);
  if (options.output) {
    const { body } = await client.rest(`/api/v1/training-sets/${job.id}/data`);
    await pipeline(Readable.fromWeb(body as Parameters<typeof Readable.fromWeb>[0]), createWriteStream(options.output));
  }
  const published = options.publish
    ? (await client.request(PublishTransformersDocument, { trainingSet: job.id })).publishTransformers
    : null;
  if (options.json) printJson({ ...job, ...(published ? { published } : {}) });
  else {
    printLines(summary(job, options.output));
    if (published) printLines([`Published as revision ${published.revision}: served values are transformed alike.`]);
  }
}

/** Adds `fstore training-set`. */
export function registerTrainingSet(program: Command): void {
  const command = program
    .command('training-set')
    .argument('<service>', 'feature service whose features are joined')
    .argument('[spine]', 'file of examples: CSV, NDJSON, Parquet or Arrow')
    .option('--source <source>', 'the examples are the events of this source')
    .option('--sql <select>', 'the examples are the rows of this SELECT, where the server allows it')
    .option('-o, --output <file>', 'where to write the set; its extension chooses the format')
    .addOption(new Option('--format <format>', 'format of the set').choices(FORMATS))
    .addOption(new Option('--spine-format <format>', 'format of the spine, if its name does not tell').choices(FORMATS))
    .option('--timestamp <column>', 'column of the spine with the time of each example', 'event_time')
    .option('--before', 'only what happened before the time of the example, not at it')
    .option('--known', 'only what had arrived by then')
    .option('--test <share>', 'share of the rows for testing, such as 0.2')
    .addOption(
      new Option('--engine <engine>', 'what joins the examples with history; default: builtin').choices([
        'builtin',
        'spark',
      ]),
    )
    .addOption(
      new Option('--split-by <what>', 'split rows, or combinations of all join keys')
        .choices(['row', 'entity'])
        .default('row'),
    )
    .option('--seed <number>', 'another split of the same shares')
    .option('--test-from <time>', 'test on examples from this time on, instead of a share')
    .option('--fit', 'fit the transformers of the service on the train split')
    .option('--publish', 'apply the fitted transformers, so that served values are transformed alike')
    .option('--no-wait', 'do not wait for the set');
  addConnectionOptions(command)
    .description('join examples with features as they were')
    .addHelpText('after', HELP)
    .action(build);
}
