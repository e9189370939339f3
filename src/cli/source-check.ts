/** `fstore sources check`: checks data before anything depends on it. */
import { readdir, stat } from 'node:fs/promises';
import { basename, extname, isAbsolute, join, normalize } from 'node:path';
import type { Command } from 'commander';
import { finding, type KnownNames } from '../definition/source-draft.js';
import { FStoreError } from '../errors.js';
import { draftReport } from '../materialization/source-check.js';
import { sampleFile } from '../materialization/source-sample.js';
import { formatOfName } from '../tabular/table-reader.js';
import { addConnectionOptions, type ConnectionOptions, connect } from './connection.js';
import { loadDefinitions } from './definition-files.js';
import { EXIT, UsageError } from './failure.js';
import { CatalogDocument, CheckSourceDocument, type CheckSourceMutation } from './generated/operations.js';
import type { GraphqlClient } from './graphql-client.js';
import { readCount } from './option-value.js';
import { printJson, printLines } from './output.js';
import { layOutTable, showValue } from './table.js';

type Report = CheckSourceMutation['checkSource'][number];

interface CheckOptions extends ConnectionOptions {
  readonly topic?: string;
  readonly kafka?: string;
  readonly table?: string;
  readonly query?: string;
  readonly sample: number;
}

const HELP = `
What:
  <name>                    a source that is declared: its topic, file, table or query against its definition
  <definitions.yaml>        the sources of a file of definitions that is not applied yet
  <data file or folder>     CSV, NDJSON, Parquet or Arrow files on this machine, which nobody has declared
  --topic, --table, --query something on the server that nobody has declared

For what is not declared a definition file is printed, with what speaks against it as comments:
save it, look it through, and apply it. The exit code is 1 if there is a finding that is an error.

Examples:
  fstore sources check transactions
  fstore sources check exports/payments.parquet > payments.yaml && fstore apply payments.yaml
  fstore sources check --kafka orders --sample 5000
  fstore sources check --table public.orders --json
`;

const DEFINITIONS = new Set(['.yaml', '.yml', '.ts', '.mts']);

/** Warning for a file outside the current folder, because its path on the workers is unknown. */
const OUTSIDE = finding('warning', 'SOURCE_UNREADABLE', 'the draft has the name of the file without its folder', {
  cure: 'Put the file into FSTORE_BATCH_FOLDER of the workers, or write its path within that folder.',
});

async function isThere(path: string): Promise<'file' | 'folder' | null> {
  const found = await stat(path).catch(() => null);
  return found && (found.isDirectory() ? 'folder' : 'file');
}

/** Returns the declared names, which drafts reuse or avoid. Empty if no server answers. */
async function known(client: GraphqlClient): Promise<KnownNames> {
  try {
    const { entities, sources, featureViews } = await client.request(CatalogDocument, {});
    return { entities, sources: sources.map(({ name }) => name), views: featureViews.map(({ name }) => name) };
  } catch (error) {
    if (!(error instanceof FStoreError) || error.code !== 'SERVER_UNREACHABLE') throw error;
    return { entities: [], sources: [], views: [] };
  }
}

async function checkFiles(paths: readonly string[], client: GraphqlClient, sample: number): Promise<Report[]> {
  let names = await known(client);
  const reports: Report[] = [];
  for (const path of paths) {
    const written = normalize(path);
    const isOutside = isAbsolute(written) || written.startsWith('..');
    const found = await sampleFile(path, isOutside ? basename(path) : written, sample);
    const { report, draft } = draftReport(isOutside ? { ...found, findings: [OUTSIDE] } : found, names);
    reports.push(report as Report);
    // The names of this draft count as declared, so that the drafts of one folder fit together.
    const added = draft.definitions as readonly {
      kind: string;
      name: string;
      joinKeys?: KnownNames['entities'][number]['joinKeys'];
    }[];
    const ofKind = (kind: string) => added.filter((one) => one.kind === kind);
    names = {
      entities: [...names.entities, ...ofKind('entity').map(({ name, joinKeys = [] }) => ({ name, joinKeys }))],
      sources: [...names.sources, ...ofKind('source').map(({ name }) => name)],
      views: [...names.views, ...ofKind('featureView').map(({ name }) => name)],
    };
  }
  return reports;
}

async function check(what: string | undefined, options: CheckOptions): Promise<readonly Report[]> {
  const { topic = options.kafka, table, query, sample } = options;
  const client = connect(options);
  const given = [what, topic, table, query].filter((one) => one !== undefined);
  if (given.length !== 1) {
    throw new UsageError(
      given.length === 0 ? 'there is nothing to check' : 'one thing is checked at a time',
      'Name a source, a file, --topic, --table or --query.',
    );
  }
  const ask = async (input: Record<string, unknown>) =>
    (await client.request(CheckSourceDocument, { input: { ...input, sample } })).checkSource;
  if (what === undefined) return ask({ topic, table, query });
  const place = /^[a-z][a-z0-9_]*$/.test(what) ? null : await isThere(what);
  if (place === 'file' && DEFINITIONS.has(extname(what))) {
    return ask({ definitions: (await loadDefinitions([what])).map(({ definition }) => definition) });
  }
  if (place === 'file') return checkFiles([what], client, sample);
  if (place === 'folder' || (await isThere(what)) === 'folder') {
    const files = (await readdir(what)).filter((name) => formatOfName(name) !== null).sort();
    if (files.length === 0) {
      throw new UsageError(`there is no data file in ${what}`, 'Data files end in .csv, .ndjson, .parquet or .arrow.');
    }
    return checkFiles(
      files.map((name) => join(what, name)),
      client,
      sample,
    );
  }
  if (/[./\\]/.test(what))
    throw new UsageError(`there is no file or folder ${what}`, 'Name a data file, a folder or a source.');
  return ask({ source: what });
}

function describe({ source, declared, origin, sampled, unusable, columns, findings }: Report): string[] {
  const rows = columns.map(({ name, type, declaredType, nulls, role }) => {
    const note = { eventTime: 'event time', joinKey: 'join key' }[role ?? ''] ?? '';
    return [name, type, ...(declared ? [showValue(declaredType)] : []), nulls > 0 ? `${nulls} null` : '', note];
  });
  const dead = unusable === null ? '' : `, ${unusable} would be dead letters`;
  return [
    `${declared ? 'Source' : 'Draft of source'} ${source}: ${origin}, ${sampled} records${dead}`,
    ...layOutTable(declared ? ['column', 'seems', 'declared', '', ''] : null, rows).map((line) => `  ${line}`),
    ...findings.flatMap(({ severity, code, message, cure }) => [`${severity} ${code}: ${message}`, `  cure: ${cure}`]),
    ...(declared && findings.length === 0 ? ['All of it fits.'] : []),
  ];
}

function print(reports: readonly Report[]): void {
  const blocks = reports.map((report) => {
    const lines = describe(report);
    if (report.declared) return lines;
    return [...lines.map((line) => `# ${line}`.trimEnd()), ...(report.draft ?? '').trimEnd().split('\n')];
  });
  const separator = reports.some(({ declared }) => declared) ? '' : '---';
  printLines(blocks.flatMap((lines, index) => (index > 0 ? [separator, ...lines] : lines)));
}

/** Adds `check` to `fstore sources`. */
export function registerSourceCheck(sources: Command): void {
  addConnectionOptions(
    sources
      .command('check')
      .argument('[what]', 'a source, a file of definitions, a data file or a folder; see below')
      .option('--topic <topic>', 'a topic of the event bus that is not declared')
      .option('--kafka <topic>', 'the same, where the event bus is Kafka')
      .option('--table <table>', "a table of the offline store's PostgreSQL")
      .option('--query <select>', "a SELECT on the offline store's PostgreSQL")
      .option('--sample <n>', 'look at so many records at most', readCount, 1_000),
  )
    .description('look at data: what it holds, what of it would be dead letters, and a draft of its definition')
    .addHelpText('after', HELP)
    .action(async (what: string | undefined, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<CheckOptions>();
      const reports = await check(what, options);
      if (options.json) printJson(reports);
      else print(reports);
      const isWrong = reports.some(({ findings }) => findings.some(({ severity }) => severity === 'error'));
      if (isWrong) process.exitCode = EXIT.refused;
    });
}
