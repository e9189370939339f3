import { rm } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import type { RunningFStore } from '../compose.js';
import { readConfig } from '../config.js';
import { runCheck } from './demo/check.js';
import { createEvents, SERVICE, SOURCE, vectorPairs } from './demo/example.js';
import { createDataFolder, findFreePort } from './demo/server-process.js';
import type { Transaction } from './demo/transactions.js';
import { printStep, walkThrough } from './demo/walkthrough.js';
import { EXIT } from './failure.js';
import { IngestDocument } from './generated/operations.js';
import { GraphqlClient } from './graphql-client.js';
import { readCount } from './option-value.js';
import { printLines } from './output.js';
import { colorsFor } from './terminal-color.js';

const PORT = 4000;
const STREAM_PAUSE = 300;
const STREAM_REPORT = 5_000;

interface DemoOptions {
  readonly check?: boolean;
  readonly events: number;
  readonly keepRunning: boolean;
}

const HELP = `
Runs the example of examples/fraud-detection. Without settings everything is embedded, in a temporary folder that goes
away at the end; FSTORE_DATA_DIR, FSTORE_POSTGRES_URL and the other variables of \`fstore serve\` are respected.
With --check the server is a process of its own, which is killed with kill -9 and started again on its data.

Examples:
  fstore demo
  fstore demo --check
`;

/** Returns the environment of the demo, and its temporary folder if it needs one. */
async function prepareEnvironment(): Promise<{ environment: NodeJS.ProcessEnv; folder: string | null }> {
  const environment: NodeJS.ProcessEnv = { FSTORE_LOG_LEVEL: 'error', ...process.env };
  environment.FSTORE_PORT ??= `${await findFreePort(PORT)}`;
  if (environment.FSTORE_DATA_DIR || environment.FSTORE_POSTGRES_URL) return { environment, folder: null };
  const folder = await createDataFolder();
  return { environment: { ...environment, FSTORE_DATA_DIR: join(folder, 'data') }, folder };
}

/** Returns the command with which the user started this program, for printed examples. */
function programName(): string {
  const [, script = ''] = process.argv;
  return basename(script) === 'fstore' ? 'fstore' : `node ${relative(process.cwd(), script)}`;
}

function printAddresses(url: string, event: Transaction): void {
  const { dim } = colorsFor(process.stdout);
  const pairs = vectorPairs(event).map((pair) => `--key ${pair}`);
  printStep('It is yours now');
  printLines([
    `  GraphQL    ${url}/graphql`,
    `  WebSocket  ${url.replace(/^http/, 'ws')}/graphql   (graphql-ws)`,
    `  SSE        ${url}/graphql/stream   (graphql-sse)`,
    `  Health     ${url}/health   ${url}/ready`,
    `  REST       curl ${url}/api/v1/views/user_last_transaction/values/${event.user_id}`,
    '',
    dim('  In another terminal:'),
    `    ${programName()} watch user_last_transaction --url ${url}`,
    `    ${programName()} get ${SERVICE} ${pairs.join(' ')} --url ${url}`,
  ]);
}

/** Pushes a few events a second until `signal` is aborted. */
async function streamEvents(client: GraphqlClient, signal: AbortSignal): Promise<void> {
  let pushed = 0;
  let reportedAt = Date.now();
  for (const event of createEvents(100_000, Date.now())) {
    await delay(STREAM_PAUSE, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    const now = { ...event, transaction_id: `live_${Date.now()}`, event_time: new Date().toISOString() };
    await client.request(IngestDocument, { source: SOURCE, events: [now] });
    pushed += 1;
    if (Date.now() - reportedAt < STREAM_REPORT) continue;
    reportedAt = Date.now();
    printLines([
      `  ${now.event_time.slice(11, 19)}  ${pushed} more events; the last: ${now.user_id} paid ${now.amount}`,
    ]);
  }
}

async function runDemo({ events: count, keepRunning }: DemoOptions): Promise<void> {
  const stop = new AbortController();
  let asked = false;
  const onSignal = (): void => {
    if (asked) process.exit(EXIT.refused);
    asked = true;
    stop.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  const { environment, folder } = await prepareEnvironment();
  let server: RunningFStore | null = null;
  try {
    printStep('Start FStore: API and worker in this process');
    const since = performance.now();
    // Imported here, because the other commands would load the server's code for nothing.
    const { startFStore } = await import('../compose.js');
    server = await startFStore(readConfig(environment), ['serve', 'worker']);
    const url = server.url ?? '';
    const stores = Object.entries(server.stores).map(([role, name]) => `${role}: ${name}`);
    printLines([`  ready in ${((performance.now() - since) / 1000).toFixed(1)} s — ${stores.join(', ')}`]);
    const client = new GraphqlClient({ url, apiKey: environment.FSTORE_API_KEY });
    const events = createEvents(count, Date.now() - 1_000);
    if (!stop.signal.aborted) await walkThrough(client, events);
    if (!stop.signal.aborted) printAddresses(url, events.at(-1) as Transaction);
    if (keepRunning && !stop.signal.aborted) {
      printStep('A few transactions a second from here on; Ctrl-C ends the demo');
      await streamEvents(client, stop.signal);
    }
    printLines(['', 'Stopping…']);
  } finally {
    await server?.close();
    if (folder) await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  }
}

/** Adds `fstore demo`. */
export function registerDemo(program: Command): void {
  program
    .command('demo')
    .description('see it work: fraud detection on generated transactions, with nothing to install')
    .option('--events <n>', 'how many transactions to push', readCount, 20_000)
    .option('--check', 'verify every step, survive kill -9, and end')
    .option('--no-keep-running', 'end after the walkthrough')
    .addHelpText('after', HELP)
    .action(async (options: DemoOptions) => {
      if (!options.check) await runDemo(options);
      else if (!(await runCheck(options.events))) process.exitCode = EXIT.refused;
    });
}
