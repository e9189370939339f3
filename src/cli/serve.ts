import { type Command, InvalidArgumentError } from 'commander';
import type { RunningFStore } from '../compose.js';
import { type Config, describeEnvironment, readConfig } from '../config.js';
import { EXIT } from './failure.js';
import * as operations from './generated/operations.js';
import {
  checkSharedStores,
  isClusterMember,
  joinCluster,
  leaveCluster,
  reportFailedStart,
  startCluster,
} from './serve-cluster.js';

const MAX_PROCESSES = 256;
const ROLES = { serve: ['serve'], worker: ['worker'] } as const;

/** Documents of the command line, which always run. Those that only look up the schema are excluded. */
const OWN_DOCUMENTS = Object.values(operations)
  .filter((one) => one instanceof operations.TypedDocumentString && one !== operations.ServedFieldsDocument)
  .map(String);

/** Resolves with the signal that asks the process to stop (Ctrl-C or SIGTERM). A second signal ends it at once. */
function stopRequested(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let asked = false;
    const onSignal = (signal: NodeJS.Signals): void => {
      if (asked) process.exit(1);
      asked = true;
      resolve(signal);
    };
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  });
}

function announce({ url, stores }: Pick<RunningFStore, 'url' | 'stores'>): void {
  const lines = url
    ? [
        `GraphQL    ${url}/graphql`,
        `WebSocket  ${url.replace(/^http/, 'ws')}/graphql`,
        `SSE        ${url}/graphql/stream`,
        `REST       ${url}/api/v1`,
        `Health     ${url}/health and ${url}/ready`,
      ]
    : ['Worker running'];
  const on = Object.entries(stores).map(([role, name]) => `${role}: ${name}`);
  process.stdout.write(`${[...lines, `Stores     ${on.join(', ')}`].join('\n')}\n`);
}

/** Says who is let in where no key is set: every program and user of this machine. */
function warnIfOpen(config: Config): void {
  if (config.apiKeyHashes.length > 0) return;
  process.stdout.write('Access     no API key is set: every user of this machine is let in (FSTORE_API_KEY_SHA256)\n');
}

async function run(roles: readonly ('serve' | 'worker')[]): Promise<void> {
  const config = readConfig(process.env);
  // Imported here, because all other commands would load the database drivers for nothing.
  const { startFStore } = await import('../compose.js');
  const running = await startFStore(config, roles, OWN_DOCUMENTS).catch(async (error) => {
    if (!isClusterMember()) throw error;
    await reportFailedStart(error);
    process.exit(EXIT.refused);
  });
  let reason: string = 'end of the cluster';
  if (isClusterMember()) await joinCluster(running);
  else {
    announce(running);
    if (running.url) warnIfOpen(config);
    reason = await stopRequested();
  }
  await running.close(reason);
  if (isClusterMember()) leaveCluster();
}

/** Serves with `count` API processes. With `withWorker`, this process handles events. */
async function runCluster(count: number, withWorker: boolean): Promise<void> {
  const config = readConfig(process.env);
  checkSharedStores(config);
  const stop = stopRequested();
  const { startFStore } = await import('../compose.js');
  // The worker starts first, because it creates the tables that the others need.
  const worker = withWorker ? await startFStore(config, ROLES.worker) : null;
  try {
    const members = await startCluster(count, config.shutdownGrace);
    announce(members);
    warnIfOpen(config);
    process.stdout.write(`Processes  ${count} that answer${withWorker ? ', 1 that processes events' : ''}\n`);
    await stop;
    await members.close();
  } finally {
    await worker?.close();
  }
}

function processCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > MAX_PROCESSES) {
    throw new InvalidArgumentError(`expected a number from 1 to ${MAX_PROCESSES}`);
  }
  return count;
}

function environmentHelp(): string {
  const rows = describeEnvironment().map(({ name, description, fallback }) => {
    return `  ${name.padEnd(24)} ${description}${fallback === null ? '' : ` (default ${fallback})`}`;
  });
  return `\nEnvironment:\n${rows.join('\n')}\n`;
}

/** Adds `fstore serve` and `fstore worker`. */
export function registerServe(program: Command): void {
  program
    .command('serve')
    .description('answer requests and, unless told otherwise, process events')
    .option('--without-worker', 'leave events to `fstore worker`')
    .option('--workers <n>', 'answer with so many processes, which share the port', processCount)
    .addHelpText('after', environmentHelp())
    .action(async (options: { withoutWorker?: boolean; workers?: number }) => {
      if (options.workers !== undefined && !isClusterMember()) {
        await runCluster(options.workers, !options.withoutWorker);
        return;
      }
      await run(options.withoutWorker ? ROLES.serve : [...ROLES.serve, ...ROLES.worker]);
    });
  program
    .command('worker')
    .description('process events: from the bus into the stores')
    .addHelpText('after', environmentHelp())
    .action(() => run(ROLES.worker));
}
